"""Files beside the records: curves and histories, read for many cells at once, and latencies."""

from __future__ import annotations

import io as texts
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchError
from benchmark.report.figures.evidence import Evidence
from benchmark.report.figures.plots import DRAWN, mean_curves
from benchmark.report.records.blocks import Floats
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

if TYPE_CHECKING:
    import pandas as pd


def curves_of(evidence: Evidence, records: Sequence[Record], dataset: str) -> dict[str, Floats] | None:
    """Return the mean curves of one model's cells on a test set; None if a cell has no ``curves.npz``.

    Raises:
        BenchError: A file is unreadable, or has no curves of this test set under this protocol.
    """
    files = [evidence.paths(record).curves for record in records]
    if not all(path.is_file() for path in files):
        return None
    archives = [evidence.once(("curves", str(path)), lambda p=path: _drawn(evidence, p)) for path in files]  # type: ignore[misc]
    return mean_curves(archives, protocol=evidence.protocol, dataset=dataset)


def _drawn(evidence: Evidence, path: Path) -> dict[str, Floats]:
    """Return what figures draw of an archive, for every test set; all names if it has none of them."""
    names = {f"{evidence.protocol}/{dataset}/{key}" for dataset in evidence.datasets for key in ("n", *DRAWN)}
    return io.read_npz(path, names=names) or io.read_npz(path)


def read_histories(paths: Sequence[Path]) -> list[pd.DataFrame]:
    """Read the tables of several ``history.csv``; those with the same columns are parsed together, which is faster."""
    import pandas as pd

    heads: dict[str, list[int]] = {}
    bodies: list[list[str]] = []
    for k, path in enumerate(paths):
        head, _, body = path.read_text(encoding="utf-8").partition("\n")
        heads.setdefault(head, []).append(k)
        bodies.append([line for line in body.splitlines() if line.strip()])
    found: dict[int, pd.DataFrame] = {}
    for head, places in heads.items():
        table = pd.read_csv(texts.StringIO("\n".join([head, *(line for k in places for line in bodies[k])])))
        ends = np.cumsum([len(bodies[k]) for k in places])
        found |= {
            k: table.iloc[end - len(bodies[k]) : end].reset_index(drop=True)
            for k, end in zip(places, ends, strict=True)
        }
    return [found[k] for k in range(len(paths))]


def latencies(results: Path, models: Sequence[str]) -> tuple[dict[str, float], str]:
    """Return milliseconds per image by model from ``profile.csv``, under one set of conditions, and the conditions.

    Of several conditions (size, batch, hardware) the one with most models is used; then batch 1, the larger
    size, the later line.

    Raises:
        BenchError: No file, or none of these models in it.
    """
    import pandas as pd

    path = ResultsLayout(results).profile
    if not path.is_file():
        raise BenchError(f"{path} is missing: 'bench profile --models all' measures the latency")
    table = pd.read_csv(path)
    keys = ["size_px", "batch", "device_name", "num_threads"]
    if not {"model", "latency_ms", *keys} <= set(table.columns):
        raise BenchError(
            f"{path}: expected the columns model, latency_ms, {', '.join(keys)}; run 'bench profile' again"
        )
    found = [(group, part.drop_duplicates("model", keep="last")) for group, part in table.groupby(keys, sort=True)]
    ranked = [(int(p["model"].isin(models).sum()), g[1] == 1, g[0], i) for i, (g, p) in enumerate(found)]
    best = max(ranked, default=(0,))
    if best[0] == 0:
        raise BenchError(f"{path} has none of {', '.join(models)}: run 'bench profile --models {','.join(models)}'")
    (size_px, batch, device, threads), part = found[best[-1]]
    cost = {str(m): float(ms) / batch for m, ms in zip(part["model"], part["latency_ms"], strict=True)}
    plural = "s" if threads > 1 else ""
    return cost, f"at {size_px} px, batch {batch}, on {device}, {threads} thread{plural}"
