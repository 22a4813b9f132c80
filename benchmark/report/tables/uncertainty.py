"""How sure the numbers of a table are: an interval for each, and a paired comparison with a reference row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.data.listing.groups import REGROUPED, regroup
from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.measures import COLUMNS
from benchmark.report.records.blocks import Floats
from benchmark.report.records.names import OURS
from benchmark.report.statistics.model import Estimates, Fit
from benchmark.report.tables.rows import Row
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
Key = tuple[int, str]  # row, measure
_CACHED_CELLS = 4096


@dataclass(frozen=True)
class Tested:
    """A row's difference from its reference row.

    Attributes:
        reference: Title of the reference row.
        difference, low, high, error, df: With its 95 % interval (NaN where none can be given).
        p: p-value of the primary measure, NaN where nothing is tested; other measures are descriptive and have none.
        p_holm: The same, corrected over all rows and test sets of the command.
        wilcoxon: p-value of Wilcoxon's signed-rank test over groups of images, for these trainings alone; NaN unless
            asked for.
    """

    reference: str
    difference: float
    low: float
    high: float
    error: float
    df: float
    p: float
    p_holm: float = float("nan")
    wilcoxon: float = float("nan")

    @property
    def stars(self) -> str:
        """``*`` below 0.05, ``**`` below 0.01, ``***`` below 0.001, else nothing."""
        return next((stars for level, stars in STARS if self.p_holm < level), "")


@dataclass(frozen=True)
class Design:
    """What the power of one comparison follows from: its row, the reference's place, and the fit of both."""

    row: int
    place: int
    reference: int
    fit: Fit
    found: Estimates


@dataclass(frozen=True)
class Uncertainty:
    """What per-image scores say of one table.

    Attributes:
        intervals: Ends of the 95 % interval by row and measure; absent where none can be given.
        blank: Why a row has no interval, such as ``2 sequences``.
        tested: Comparisons by row and measure; absent for the reference and for what cannot be paired with it.
        untested: Why the differences of this table are not tested; empty if they are.
        family: How many comparisons Holm's correction counts, over all tables of the command; and over how many sets.
        shares: Parts of the variance of single scores of the primary measure by row: image, seed, rest.
        designs: Of the primary measure's comparisons.
        notes: What to know before leaning on them.
    """

    intervals: Mapping[Key, tuple[float, float]] = field(default_factory=dict)
    blank: Mapping[int, str] = field(default_factory=dict)
    tested: Mapping[Key, Tested] = field(default_factory=dict)
    untested: str = ""
    family: tuple[int, int] = (0, 0)
    shares: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    designs: tuple[Design, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def blank_reason(self) -> str:
        """Why rows of this table have no interval; empty if all have."""
        return next(iter(self.blank.values()), "")


@dataclass(frozen=True)
class SetScores:
    """One cell's scores of one test set, images in the order of their names.

    Attributes:
        ids: n image names. groups: Their groups, as they are known today.
        scores: (6, n) in the order of ``MEASURE_KEYS``.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    scores: Floats


ScoreReader = Callable[[str, str], SetScores]
"""(cell, test set) -> its scores."""


def score_reader(results: Path, protocol: str) -> ScoreReader:
    """Return a reader of per-image scores that keeps the last cells; only the columns needed are read."""
    images: dict[tuple[Any, ...], tuple[npt.NDArray[np.int64], tuple[str, ...], tuple[str, ...]]] = {}

    def load_images(name: str, ids: tuple[Any, ...], groups: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """Order, names and groups of a set's images: the same for nearly all cells."""
        key = name, ids, groups
        if key not in images:
            order = np.array(sorted(range(len(ids)), key=lambda k: str(ids[k])), dtype=np.int64)
            facts = [(str(ids[k]), str(groups[k])) for k in order]
            today = [regroup(name, *one) if name in REGROUPED else one[1] for one in facts]
            images[key] = order, tuple(image for image, _ in facts), tuple(today)
        return images[key]

    @lru_cache(maxsize=_CACHED_CELLS)
    def load(cell: str) -> dict[str, SetScores]:
        path = ResultsLayout(results).cell(cell).scores
        rows = io.read_score_arrays(path, ["protocol", "dataset", "id", "group", *COLUMNS.values()])
        mine = rows["protocol"] == protocol
        values = np.stack([np.asarray(rows[name], dtype=float) for name in COLUMNS.values()])
        found = {}
        for name in dict.fromkeys(rows["dataset"][mine].tolist()):
            part = mine & (rows["dataset"] == name)
            order, ids, groups = load_images(name, tuple(rows["id"][part]), tuple(rows["group"][part]))
            found[str(name)] = SetScores(ids, groups, values[:, part][:, order])
        return found

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


def find_reference(wanted: str, models: Sequence[str]) -> str:
    """Return the model to compare with: the one wanted, or BSANet where none was named.

    Raises:
        BenchError: It is not among the models, or none was named and BSANet is not there.
    """
    if not wanted and OURS not in models:
        raise BenchError(
            f"--significance: {OURS} is not among the results; name the model to compare with, for example "
            f"--significance {models[0]}"
        )
    if (wanted or OURS) not in models:
        raise unknown_name("reference", wanted, models)
    return wanted or OURS


def reference_row(rows: Sequence[Row], model: str, *, ablation: bool) -> Callable[[int], int | None]:
    """Return a function from a row to the one that it is compared with.

    Args:
        rows: Rows of one table.
        model: The model that all others are compared with; a row trained here goes before maps by others.
        ablation: Compare each variant with the full form of its own model instead.
    """
    full = sorted((i for i, row in enumerate(rows) if not row.ablation), key=lambda i: rows[i].foreign)

    def find(i: int) -> int | None:
        wanted = rows[i].model if ablation else model
        return next((j for j in full if rows[j].model == wanted), None)

    return find
