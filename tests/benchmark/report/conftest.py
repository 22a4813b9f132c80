"""Records as ``run.json`` holds them, made by hand for the report's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.data.files.hashing import fingerprint
from benchmark.data.listing.datasets import list_dataset
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

MODELS = ("unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet")
KEYS = made_results.KEYS
MakeRecord = Callable[..., Record]
PHANTOM = "phantom-colondb"


@pytest.fixture
def make_record() -> MakeRecord:
    """Return a function that makes one valid record; ``tests`` maps a test set to its mDSC or to all its scores."""
    return made_results.make_record


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a results folder: records with per-image rows whose means they hold."""

    def make(*arguments: Any, folder: str = "results", **options: Any) -> Path:
        return made_results.write_results(tmp_path / folder, *arguments, **options)

    return make


@pytest.fixture
def make_cell(tmp_path: Path, make_record: MakeRecord, shared_cache: Path) -> MakeRecord:
    """Write a cell as `bench run` does: record, rows, curves, history, maps of the first images of a phantom set."""

    def make(model: str = "bsanet", *, seed: int = 0, n: int = 6, value: float = 0.7, **fields: Any) -> Record:
        items = list_dataset(PHANTOM, cache_dir=shared_cache)[:n]
        record = make_record(
            model, seed=seed, tests={PHANTOM: value}, n=n, fingerprint=fingerprint(items), synthetic=True, **fields
        )
        paths = ResultsLayout(tmp_path).cell(record.cell)
        noise = np.random.default_rng([seed, len(model)]).uniform(-0.1, 0.1, n)
        rows = pd.DataFrame(
            {"protocol": "pranet", "dataset": PHANTOM, "id": [i.id for i in items], "group": [i.group for i in items]}
        ).assign(
            dice=value + noise,
            iou=value,
            sm=value,
            wfm=value,
            em_max=value,
            mae=0.1,
            area_rel=np.linspace(0.01, 0.3, n),
        )
        io.write_parquet(paths.scores, rows)
        ramp = np.linspace(0.1, 0.9, 256) * n
        curves = dict.fromkeys([f"pranet/{PHANTOM}/{key}" for key in ("em", "dice", "precision", "recall")], ramp)
        io.write_npz(paths.curves, {**curves, f"pranet/{PHANTOM}/n": np.array(n)})
        history = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.0, 0.5], "val_mdsc": [0.2, 0.3]})
        io.write_text(paths.history, history.to_csv(index=False))
        for item in items:
            path = paths.map(PHANTOM, item.id)
            path.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(item.mask_path) as mask:
                mask.convert("L").point(lambda v: v // 2).save(path)
        io.write_record(paths, record)
        return record

    return make
