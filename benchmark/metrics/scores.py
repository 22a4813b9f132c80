"""The result of scoring one map: numbers, curves, and a row for the table of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.curves import ADAPTIVE, EXPLICIT, HALF, MEASURES, NUM_LEVELS
from benchmark.metrics.protocol import Protocol

Curve = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """Every measure of one map under one protocol.

    Numbers: ``mae`` (lower is better), ``sm``, ``wfm``. Curves, (256,) float64, threshold 255 first: ``em``,
    ``dice``, ``iou``, ``precision``, ``recall``, ``specificity``, ``f`` (beta^2 = 1). The same at 0.5 as
    ``<name>_half`` and at twice the map's mean as ``adp_<name>``. ``at``: (7, T) the curves' measures, in that
    order, at the thresholds that the protocol averages (the curves themselves if it averages all levels).
    ``tp``, ``fp``: (256,) int64, the pixels counted at each threshold; with the mask's foreground and the map's
    size they give every other count. ``counts``: (2, 258 + T) int64, the same at every threshold that is measured
    (255..0, 0.5, twice the mean, the protocol's list). ``num_fg``, ``num_pixels``: of the mask as it was scored.
    ``mask_empty``: the mask, at its own size, has no foreground.
    ``hd95`` (pixels, lower is better) and ``surface_dice`` only if asked for, else None.
    """

    protocol: Protocol
    mae: float
    sm: float
    wfm: float
    em: Curve
    dice: Curve
    iou: Curve
    precision: Curve
    recall: Curve
    specificity: Curve
    f: Curve
    em_half: float
    dice_half: float
    iou_half: float
    precision_half: float
    recall_half: float
    specificity_half: float
    f_half: float
    adp_em: float
    adp_dice: float
    adp_iou: float
    adp_precision: float
    adp_recall: float
    adp_specificity: float
    adp_f: float
    at: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    counts: NDArray[np.int64]
    num_fg: int
    num_pixels: int
    mask_empty: bool
    hd95: float | None = None
    surface_dice: float | None = None

    def row(self) -> dict[str, float]:
        """Return the per-image columns: ``dice``, ``iou``, ``em``... are means over the protocol's thresholds."""
        row = dict(zip(MEASURES, self.at.mean(axis=1).tolist(), strict=True))
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None:
                row[name] = float(value)
        return row

    def curves(self) -> dict[str, Curve]:
        """Return the seven 256-level curves by name."""
        return {name: getattr(self, name) for name in MEASURES}


_APART = (*MEASURES, "protocol", "at", "tp", "fp", "counts", "num_fg", "num_pixels", "mask_empty")
_NUMBERS = tuple(f.name for f in fields(Scores) if f.name not in _APART)


def make_scores(
    protocol: Protocol,
    measured: NDArray[np.float64],
    counts: NDArray[np.int64],
    numbers: Mapping[str, float | None],
    *,
    size: tuple[int, int],
    empty: bool,
) -> Scores:
    """Build a ``Scores``.

    Args:
        protocol: Under which the map was scored.
        measured, counts: The arrays of ``threshold_measures``.
        numbers: MAE, S, weighted F, and the boundary measures where they were asked for.
        size: Foreground pixels and all pixels of the mask as it was scored.
        empty: The mask has no foreground at its own size.
    """
    levels = measured[:, :NUM_LEVELS]
    values: dict[str, object] = dict(zip(MEASURES, levels, strict=True))
    single = measured[:, HALF : ADAPTIVE + 1].tolist()
    for name, (half, adaptive) in zip(MEASURES, single, strict=True):
        values[f"{name}_half"] = half
        values[f"adp_{name}"] = adaptive
    at = levels if protocol.thresholds == "all" else measured[:, EXPLICIT:]
    values |= {"num_fg": size[0], "num_pixels": size[1], "mask_empty": empty}
    tp, fp = counts[:, :NUM_LEVELS]
    return Scores(protocol=protocol, at=at, tp=tp, fp=fp, counts=counts, **values, **numbers)  # type: ignore[arg-type]
