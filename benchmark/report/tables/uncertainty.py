"""How sure the numbers of a table are: an interval for each, and a paired comparison with a reference row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.measures import COLUMNS, MEASURE_KEYS
from benchmark.report.records.blocks import Block, Floats
from benchmark.report.records.names import OURS
from benchmark.report.statistics.resampling import Comparison, Parts, caution, compare, holm, interval, resample
from benchmark.report.tables.rows import Row
from benchmark.store.io import read_scores
from benchmark.store.layout import ResultsLayout

if TYPE_CHECKING:
    import pandas as pd

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
ScoreReader = Callable[[str, str], "pd.DataFrame"]
"""(cell, test set) -> one line per image: index ``id``, column ``group`` and one column per measure."""
Key = tuple[int, str]  # row, measure


@dataclass(frozen=True)
class Tested:
    """A comparison with the reference and its p-value, corrected over the table."""

    reference: str
    found: Comparison
    p_holm: float

    @property
    def stars(self) -> str:
        """``*`` below 0.05, ``**`` below 0.01, ``***`` below 0.001, else nothing."""
        return next((stars for level, stars in STARS if self.p_holm < level), "")


@dataclass(frozen=True)
class Uncertainty:
    """What per-image scores say of one table.

    Attributes:
        intervals: Ends of the 95 % interval by row and measure; absent where none can be given.
        tested: Comparisons by row and measure; absent for the reference and for what cannot be paired with it.
        num_tested: How many comparisons Holm's correction counts.
        notes: What to know before leaning on them.
    """

    intervals: Mapping[Key, tuple[float, float]] = field(default_factory=dict)
    tested: Mapping[Key, Tested] = field(default_factory=dict)
    num_tested: int = 0
    notes: tuple[str, ...] = ()


def score_reader(results: Path, protocol: str) -> ScoreReader:
    """Return a reader of per-image scores that keeps the last cells; only the columns needed are read."""

    @lru_cache(maxsize=256)
    def load(cell: str) -> pd.DataFrame:
        path = ResultsLayout(results).cell(cell).scores
        rows = read_scores(path, ["protocol", "dataset", "id", "group", *COLUMNS.values()])
        return rows[rows["protocol"] == protocol]

    def read(cell: str, dataset: str) -> pd.DataFrame:
        rows = load(cell)
        rows = rows[rows["dataset"] == dataset].set_index("id").sort_index()
        if rows.empty or not rows.index.is_unique:
            path = ResultsLayout(results).cell(cell).scores
            raise BenchError(
                f"{path}: {'no' if rows.empty else 'repeated'} rows for {dataset} under {protocol}; "
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


def weigh(
    dataset: str,
    rows: Sequence[Row],
    read: ScoreReader,
    *,
    intervals: bool,
    reference_of: Callable[[int], int | None] | None = None,
) -> Uncertainty:
    """Weigh the numbers of a table.

    Args:
        dataset: Test set.
        rows: Its rows; blank ones are left alone.
        read: Where per-image scores come from.
        intervals: Whether to give intervals.
        reference_of: Row -> the row that it is compared with (None: with none); no comparisons if None.
    Raises:
        BenchError: Per-image scores are missing or unreadable.
    """
    parts = {i: _parts(dataset, row, read) for i, row in enumerate(rows) if row.n is not None}
    ends = {(i, key): interval(one.parts, m) for i, one in parts.items() for m, key in one.sound} if intervals else {}
    tested, odd = _compare_all(rows, parts, reference_of) if reference_of else ({}, [])
    bad = [
        f"{rows[i].title}: no interval for {', '.join(one.unsound)}: an image has no number"
        for i, one in parts.items()
        if one.unsound
    ]
    cautions = dict.fromkeys(caution(one.parts) for one in parts.values())
    cautions.pop("", None)
    return Uncertainty(
        intervals={key: pair for key, pair in ends.items() if np.isfinite(pair).all()},
        tested=tested,
        num_tested=len(tested),
        notes=(*bad, *odd, *(f"{text[0].upper()}{text[1:]}" for text in cautions)),
    )


@dataclass(frozen=True)
class _RowParts:
    """A row's resampled means: measure m of ``MEASURE_KEYS`` stands where a model would."""

    parts: Parts
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    sound: tuple[tuple[int, str], ...]
    unsound: tuple[str, ...]


def _parts(dataset: str, row: Row, read: ScoreReader) -> _RowParts:
    frames = [read(cell, dataset) for cell in row.cells]
    first = frames[0]
    for cell, frame in zip(row.cells, frames, strict=True):
        if not frame.index.equals(first.index) or len(frame) != row.n:
            raise BenchError(
                f"{dataset}: the score rows of {cell} hold {len(frame)} images, its record or its other seeds "
                f"{row.n}; run the cell again with --if-exists overwrite"
            )
    scores = np.stack([frame[[*COLUMNS.values()]].to_numpy(dtype=float).T for frame in frames], axis=1)  # (6, S, n)
    finite = np.isfinite(scores).all(axis=(1, 2))
    groups = tuple(map(str, first["group"]))
    name = f"{row.model}{'-'.join(row.ablation)}{'†' if row.foreign else ''}"
    block = Block(dataset, (name,) * len(MEASURE_KEYS), row.seeds, _no_nan(scores), _codes(groups), tuple(first.index))
    return _RowParts(
        parts=resample(block),
        ids=block.ids,
        groups=groups,
        sound=tuple((m, key) for m, key in enumerate(MEASURE_KEYS) if finite[m]),
        unsound=tuple(key for m, key in enumerate(MEASURE_KEYS) if not finite[m]),
    )


def _no_nan(scores: Floats) -> Floats:
    return np.where(np.isfinite(scores), scores, 0.0)


def _codes(groups: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)


def _compare_all(
    rows: Sequence[Row], parts: Mapping[int, _RowParts], reference_of: Callable[[int], int | None]
) -> tuple[dict[Key, Tested], list[str]]:
    """Compare every row with its reference; Holm's correction runs over all of it."""
    found: dict[Key, Tested] = {}
    notes = []
    for i, mine in parts.items():
        ref = reference_of(i)
        if ref is None or ref == i:
            continue
        title = rows[ref].title
        if ref not in parts:
            notes.append(f"{rows[i].title}: not compared, {title} has no numbers here")
        elif (mine.ids, mine.groups) != (parts[ref].ids, parts[ref].groups):
            notes.append(f"{rows[i].title}: not compared with {title}, which was scored on other images")
        else:
            for m, key in mine.sound:
                if (m, key) in parts[ref].sound:
                    found[(i, key)] = Tested(title, compare(mine.parts, m, parts[ref].parts, m), np.nan)
    corrected = holm([one.found.p for one in found.values()])
    return {
        key: replace(one, p_holm=float(p)) for (key, one), p in zip(found.items(), corrected, strict=True) if p == p
    }, notes
