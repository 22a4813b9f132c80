"""The reference engine: py_sod_metrics, with its traps taken out of the way.

It silently empties a mask that is not 0..255 and gives NaN for S if the mask's centroid is in the last row or
column; both are handled here. Everything else is the package's own arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.metrics.curves import ADAPTIVE, EXPLICIT, HALF, MEASURES, NUM_LEVELS
from benchmark.metrics.protocol import Protocol


def reference_measures(
    levels: NDArray[np.uint8], mask: NDArray[np.bool_], protocol: Protocol
) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, float]]:
    """Measure a map with py_sod_metrics.

    Args:
        levels: (H, W) uint8 map, resized and post-processed as the protocol says.
        mask: (H, W) boolean mask.
        protocol: One with the arithmetic of py_sod_metrics, without quirks.
    Returns:
        The arrays of ``curves.threshold_measures``, counts at the 256 levels alone, and the numbers ``mae``,
        ``sm``, ``wfm``.
    Raises:
        BenchError: If the protocol asks for what py_sod_metrics cannot do, or the package is absent.
    """
    check_reference(protocol)
    sod = _package()
    pred, gt = levels / 255, mask
    if protocol.stretch:
        pred, gt = sod.utils.prepare_data(levels, mask.astype(np.uint8) * 255)
    numbers = {"mae": sod.MAE().cal_mae(pred, gt), "sm": _structure(sod).cal_sm(pred, gt), "wfm": 0.0}
    if mask.any():
        numbers["wfm"] = sod.WeightedFmeasure().cal_wfm(pred, gt)
    measured, counts = _thresholded(sod, pred, gt, protocol)
    return measured, counts, {name: float(v) for name, v in numbers.items()}


def check_reference(protocol: Protocol) -> None:
    """Refuse a protocol that py_sod_metrics cannot follow.

    Raises:
        BenchError: It cannot; the message says why.
    """
    if protocol.reference_gap:
        raise BenchError(
            f"engine 'reference' cannot follow protocol {protocol.name!r}: py_sod_metrics does not know "
            f"{protocol.reference_gap}; use engine 'fast'"
        )


def _package() -> Any:
    try:
        import py_sod_metrics
        import py_sod_metrics.utils
    except ImportError as error:
        raise BenchError("engine 'reference' needs py_sod_metrics: pip install pysodmetrics") from error
    return py_sod_metrics


def _structure(sod: Any) -> Any:
    """Return an S-measure in which a quadrant without pixels contributes 0 instead of NaN."""

    class Structure(sod.Smeasure):  # type: ignore[misc, name-defined]
        def ssim(self, pred: NDArray, gt: NDArray) -> float:
            return super().ssim(pred, gt) if pred.size else 0.0  # type: ignore[no-any-return]

    return Structure()


def _thresholded(
    sod: Any, pred: NDArray, gt: NDArray, protocol: Protocol
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return (7, 258 + T): the package's curves, then single thresholds from its own counts; and its counts."""
    explicit = () if protocol.thresholds == "all" else protocol.thresholds
    num_fg = int(np.count_nonzero(gt))
    family = sod.FmeasureV2()
    aligned = sod.Emeasure()
    aligned.gt_fg_numel, aligned.gt_size = num_fg, gt.size
    out = np.empty((len(MEASURES), EXPLICIT + len(explicit)))
    out[0, :NUM_LEVELS] = aligned.cal_changeable_em(pred, gt)
    counts = family.dynamically_binarizing(pred, gt, num_fg, gt.size - num_fg)
    out[1:, :NUM_LEVELS] = [handler(**counts) for handler in _handlers(sod)]
    passed = np.stack([counts["tp"], counts["fp"]]).astype(np.int64)
    adaptive = sod.utils.get_adaptive_threshold(pred)
    single = {HALF: _passing(0.5, protocol), ADAPTIVE: adaptive}
    single |= {EXPLICIT + i: _passing(t, protocol) for i, t in enumerate(explicit)}
    for column, threshold in single.items():
        out[0, column] = aligned.cal_em_with_threshold(pred, gt, threshold)
        counts = family.get_statistics(pred >= threshold, gt, num_fg, gt.size - num_fg)
        out[1:, column] = [handler(**counts) for handler in _handlers(sod)]
    return out, passed


def _handlers(sod: Any) -> list[Any]:
    """Return the package's handlers in the order of ``MEASURES[1:]``."""
    off = {"with_dynamic": False, "with_adaptive": False}
    plain = (sod.DICEHandler, sod.IOUHandler, sod.PrecisionHandler, sod.RecallHandler, sod.SpecificityHandler)
    return [*(handler(**off) for handler in plain), sod.FmeasureHandler(**off, beta=1)]


def _passing(threshold: float, protocol: Protocol) -> float:
    """Return the number from which on a value passes: the next one up if equality does not count."""
    return threshold if protocol.compare == ">=" else float(np.nextafter(threshold, np.inf))
