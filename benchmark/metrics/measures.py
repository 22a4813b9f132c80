"""The measures that tables print, listed once: the six, then those on request; names, symbols, direction, range."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One printed measure.

    Attributes:
        key: Its name in ``run.json``, in CSV and on the command line.
        column: The column of per-image values whose mean over images it is; empty where it is taken over all images.
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


PRECISION: tuple[Measure, ...] = (
    Measure("dice_half", "dice_half", "Dice", "Dice", "Dice coefficient at 0.5"),
    Measure("iou_half", "iou_half", "IoU", "IoU", "intersection over union at 0.5"),
    Measure("precision_half", "precision_half", "Precision", "Precision", "share of the called pixels that are polyp"),
    Measure("recall_half", "recall_half", "Recall", "Recall", "share of the polyp's pixels that are called"),
    Measure("f2_half", "f2_half", "F2", r"$F_{2}$", "F-measure that weighs recall four times: 5 P R / (4 P + R)"),
)
"""Of the map at 0.5, mean over images."""

BOUNDARY: tuple[Measure, ...] = (
    Measure("hd95", "hd95", "HD95", "HD95", "95th percentile of outline distances, px", False, 0.0, math.inf),
    Measure("surface_dice", "surface_dice", "NSD", "NSD", "share of both outlines within 2 px of the other"),
)
"""Of the map at 0.5, mean over images."""

LESIONS: tuple[Measure, ...] = (
    Measure("lesion_sensitivity", "", "Lesion sens.", "Lesion sens.", "share of the lesions that are found"),
    Measure("lesion_precision", "", "Lesion prec.", "Lesion prec.", "share of the map's parts that find a lesion"),
    Measure("image_fpr", "", "Image FPR", "Image FPR", "share of images without a polyp with a false alarm", False),
    Measure("image_specificity", "", "Image spec.", "Image spec.", "share of images without a polyp left empty"),
    Measure("false_parts", "", "FP / neg.", "FP / neg.", "false parts per image without a polyp", False, 0.0, math.inf),
)
"""Of lesions and images, counted over a whole test set."""

CALIBRATION: tuple[Measure, ...] = (
    Measure("brier", "", "Brier", "Brier", "mean squared error of the probabilities", False),
    Measure("ece", "", "ECE", "ECE", "expected calibration error, 16 bins", False),
    Measure("brier_band", "", "Brier, band", "Brier, band", "the same in a band around the outline", False),
    Measure("ece_band", "", "ECE, band", "ECE, band", "the same in a band around the outline", False),
)
"""Of the pixels of a whole test set."""


def listed() -> str:
    """Return the keys in words, for help texts and messages."""
    return ", ".join(MEASURE_KEYS)
