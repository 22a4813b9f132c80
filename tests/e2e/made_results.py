"""Results folders made by hand: records as ``run.json`` holds them, and per-image rows that agree with them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.metrics.measures import COLUMNS
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

KEYS = ("mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE")


def _scores(value: float) -> dict[str, float]:
    return {key: value if key != "MAE" else 1 - value for key in KEYS}


def make_record(
    model: str = "bsanet",
    *,
    seed: int = 0,
    tests: dict[str, float | dict[str, float]] | None = None,
    n: int = 100,
    leaked: int = 0,
    protocol_hash: str = "aa11bb22",
    fingerprint: str = "f0",
    split: dict[str, Any] | None = None,
    **fields: Any,
) -> Record:
    """Return one record; ``tests`` maps a test set to its mDSC or to all its scores."""
    scored = {"kvasir": 0.8} if tests is None else tests
    record = {
        "schema": 1,
        "cell": f"{model}/quick-11112222/seed{seed}",
        "model": model,
        "model_title": {"unet": "U-Net", "bsanet": "BSANet"}.get(model, model),
        "recipe_name": "quick",
        "recipe": {},
        "recipe_hash": "11112222",
        "split": {
            "name": "paper",
            "seed": 0,
            "num_train": 10,
            "num_val": 5,
            "fingerprint_train": "0123456789abcdef",
            "fingerprint_val": "0",
            **(split or {}),
        },
        "seed": seed,
        "status": "ok",
        "pretrained": {"used": False, "name": None, "sha256": None},
        "num_params": 1000,
        "protocols": {"pranet": protocol_hash},
        "tests": {
            name: {
                "title": {"kvasir": "Kvasir", "colondb": "CVC-ColonDB"}.get(name, name),
                "n": n,
                "fingerprint": fingerprint,
                "num_leaked": leaked,
                "scores": {"pranet": s if isinstance(s, dict) else _scores(s)},
            }
            for name, s in scored.items()
        },
        "created": "2025-01-01T00:00:00Z",
        **fields,
    }
    return Record.model_validate(record)


def changed(record: Record, **fields: Any) -> Record:
    """Return a record with other fields."""
    return Record.model_validate({**record.to_json(), **fields})


def with_test(record: Record, dataset: str, **fields: Any) -> Record:
    """Return a record with other facts of one test set."""
    tests = record.to_json()["tests"]
    return changed(record, tests={**tests, dataset: {**tests[dataset], **fields}})


def write_results(
    root: Path,
    means: dict[str, float] | None = None,
    *,
    seeds: tuple[int, ...] = (0, 1),
    sets: dict[str, int] | None = None,
    draw: int = 0,
    change: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    **fields: Any,
) -> Path:
    """Write records with per-image rows whose means they hold; returns ``root``."""
    for model, mean in (means or {"unet": 0.70, "pranet": 0.80, "bsanet": 0.82}).items():
        for seed in seeds:
            parts = {d: image_rows(d, n, mean, key=(draw, seed, model)) for d, n in (sets or {"kvasir": 40}).items()}
            if change is not None:
                parts = {d: change(rows) for d, rows in parts.items()}
            tests = {d: {m: float(rows[c].mean()) for m, c in COLUMNS.items()} for d, rows in parts.items()}
            record = make_record(model, seed=seed, tests=tests, **fields)
            sizes = {d: t.model_copy(update={"n": len(parts[d])}) for d, t in record.tests.items()}
            record = record.model_copy(update={"tests": sizes})
            paths = ResultsLayout(root).cell(record.cell)
            io.write_record(paths, record)
            io.write_parquet(paths.scores, pd.concat(parts.values(), ignore_index=True))
    return root


def image_rows(dataset: str, n: int, mean: float, *, key: tuple[Any, ...]) -> pd.DataFrame:
    """Per-image scores: images of common difficulty, in groups of two, and noise of the model and seed."""
    images = np.random.default_rng(zlib.crc32(dataset.encode())).normal(0, 0.05, n)
    noise = np.random.default_rng(zlib.crc32(repr(key).encode())).normal(0, 0.02, n)
    scores = np.clip(mean + images + noise, 0, 1)
    columns = {column: scores if column != "mae" else 1 - scores for column in COLUMNS.values()}
    ids = [f"{dataset}-{i:04}" for i in range(n)]
    groups = [f"g{i // 2}" for i in range(n)]
    return pd.DataFrame({"protocol": "pranet", "dataset": dataset, "id": ids, "group": groups, **columns})
