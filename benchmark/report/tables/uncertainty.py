"""Uncertainty of a table's numbers: an interval for each, and a paired comparison with a reference row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.errors import BenchError, unknown_name
from benchmark.report.records.names import OURS
from benchmark.report.tables.rows import Row

if TYPE_CHECKING:  # the statistics bring scipy along, which takes a second; most tables ask for none
    from benchmark.report.statistics.fit import Fit
    from benchmark.report.statistics.model import Estimates

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
Key = tuple[int, str]  # row, measure


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
    """Uncertainty of one table from per-image scores.

    Attributes:
        intervals: Ends of the 95 % interval by row and measure; absent where none can be given.
        blank: Why a row has no interval, such as ``2 sequences``.
        tested: Comparisons by row and measure; absent for the reference and for what cannot be paired with it.
        untested: Why the differences of this table are not tested; empty if they are.
        family: How many comparisons Holm's correction counts, over all tables of the command; and over how many sets.
        shares: Parts of the variance of single scores of the primary measure by row: image, seed, rest.
        designs: Of the primary measure's comparisons.
        notes: Caveats.
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
        model: The model that all others are compared with; a row trained here is preferred to external maps.
        ablation: Compare each variant with the full form of its own model instead.
    """
    full = sorted((i for i, row in enumerate(rows) if not row.ablation), key=lambda i: rows[i].foreign)

    def find(i: int) -> int | None:
        wanted = rows[i].model if ablation else model
        return next((j for j in full if rows[j].model == wanted), None)

    return find
