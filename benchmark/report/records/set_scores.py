"""Per-image scores of cells as arrays: each file is read once, and of it the six measures' columns alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.data.listing.groups import REGROUPED, regroup
from benchmark.errors import BenchError
from benchmark.metrics.measures import COLUMNS
from benchmark.report.records.blocks import SetScores
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

_FACTS = ("protocol", "dataset", "id", "group")
_CACHED_CELLS = 4096
_Images = tuple[npt.NDArray[np.int64], tuple[str, ...], tuple[str, ...]]

ScoreReader = Callable[[str, str], SetScores]
"""(cell, test set) -> its scores."""


def score_reader(results: Path, protocol: str) -> ScoreReader:
    """Return a reader of per-image scores that keeps the last cells.

    It raises a ``BenchError`` where the file is unreadable, lacks a measure, or holds no row or repeated rows.
    """
    load = _loader(results, protocol, allow_gaps=False)

    def read(cell: str, dataset: str) -> SetScores:
        rows = load(cell).get(dataset)
        if rows is None or len(set(rows.ids)) < len(rows.ids):
            path = ResultsLayout(results).cell(cell).scores
            raise BenchError(
                f"{path}: {'no' if rows is None else 'repeated'} rows for {dataset} under {protocol}; "
                "run the cell again with --if-exists overwrite"
            )
        return rows

    return read


def lenient_reader(results: Path, protocol: str) -> ScoreReader:
    """Return a reader for which measures and rows may be absent; a missing file is a ``BenchError``."""
    load = _loader(results, protocol, allow_gaps=True)
    nothing = SetScores((), (), np.empty((len(COLUMNS), 0)))
    return lambda cell, dataset: load(cell).get(dataset, nothing)


def _loader(results: Path, protocol: str, *, allow_gaps: bool) -> Callable[[str], dict[str, SetScores]]:
    images: dict[tuple[Any, ...], _Images] = {}  # nearly all cells share theirs

    @lru_cache(maxsize=_CACHED_CELLS)
    def load(cell: str) -> dict[str, SetScores]:
        path = ResultsLayout(results).cell(cell).scores
        if allow_gaps and not path.is_file():
            raise BenchError(f"{path} is missing; run the cell again with --if-exists overwrite")
        rows = io.read_score_arrays(path, [*_FACTS, *COLUMNS.values()], optional=COLUMNS.values() if allow_gaps else ())
        mine = rows["protocol"] == protocol
        blank = np.full(len(mine), np.nan)
        values = np.stack([np.asarray(rows.get(name, blank), dtype=float) for name in COLUMNS.values()])
        found = {}
        for name in dict.fromkeys(rows["dataset"][mine].tolist()):
            part = mine & (rows["dataset"] == name)
            key = name, tuple(rows["id"][part]), tuple(rows["group"][part])
            if key not in images:
                images[key] = _in_order(*key)
            order, ids, groups = images[key]
            found[str(name)] = SetScores(ids, groups, values[:, part][:, order])
        return found

    return load


def _in_order(dataset: str, ids: tuple[Any, ...], groups: tuple[Any, ...]) -> _Images:
    """Return the images in the order of their names: places, names, and groups as they are known today."""
    names = [str(name) for name in ids]
    order = sorted(range(len(names)), key=names.__getitem__)
    held = [(names[k], str(groups[k])) for k in order]
    today = tuple(regroup(dataset, *one) if dataset in REGROUPED else one[1] for one in held)
    return np.array(order, dtype=np.int64), tuple(name for name, _ in held), today
