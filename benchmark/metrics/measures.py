"""The six measures that tables print, listed once: names, symbols, direction and range."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One printed measure.

    Attributes:
        key: Its name in ``run.json``, in CSV and on the command line.
        column: The column of ``scores.parquet`` whose mean over images it is.
        plain: Its symbol as plain text.
        latex: Its symbol in LaTeX.
        title: Its name in words.
        higher_is_better: Which end is good.
        low: Least value. high: Greatest value.
    """

    key: str
    column: str
    plain: str
    latex: str
    title: str
    higher_is_better: bool = True
    low: float = 0.0
    high: float = 1.0

    @property
    def arrow(self) -> str:
        """Return an arrow towards the good end."""
        return "↑" if self.higher_is_better else "↓"


MEASURES: tuple[Measure, ...] = (
    Measure("mDSC", "dice", "mDSC", "mDSC", "mean Dice coefficient"),
    Measure("mIoU", "iou", "mIoU", "mIoU", "mean intersection over union"),
    Measure("S_alpha", "sm", "Sα", r"$S_{\alpha}$", "structure measure, alpha = 0.5"),
    Measure("F_beta_w", "wfm", "Fβʷ", r"$F_{\beta}^{w}$", "weighted F-measure, beta = 1"),
    Measure("E_phi_max", "em_max", "Eφᵐᵃˣ", r"$E_{\phi}^{\max}$", "greatest enhanced-alignment measure"),
    Measure("MAE", "mae", "MAE", "MAE", "mean absolute error", higher_is_better=False),
)
"""In the paper's order. E's denominator lets it exceed 1 by less than 0.001."""

MEASURE_KEYS: tuple[str, ...] = tuple(measure.key for measure in MEASURES)
COLUMNS: dict[str, str] = {measure.key: measure.column for measure in MEASURES}
"""Key -> column of ``scores.parquet`` whose mean over images it is."""


def listed() -> str:
    """Return the keys in words, for help texts and messages."""
    return ", ".join(MEASURE_KEYS)
