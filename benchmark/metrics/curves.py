"""Measures of a binarised map, at all thresholds at once: Dice, IoU, precision, recall, specificity, F and E."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.levels import LevelTable
from benchmark.metrics.protocol import Protocol
from benchmark.metrics.statistic import Statistic

MEASURES = ("em", "dice", "iou", "precision", "recall", "specificity", "f")
"""Names of the thresholded measures, in the order of the rows of an array of curves."""

EPS = np.spacing(1.0)
NUM_LEVELS = 256
HALF, ADAPTIVE, EXPLICIT = NUM_LEVELS, NUM_LEVELS + 1, NUM_LEVELS + 2
"""Columns that follow the 256 levels: threshold 0.5, the adaptive threshold, the protocol's own list."""

Curves = NDArray[np.float64]


def threshold_measures(stat: Statistic, table: LevelTable, num_fg: int, protocol: Protocol) -> Curves:
    """Return every thresholded measure at every threshold of interest.

    Args:
        stat: The map's statistic.
        table: What its levels are worth.
        num_fg: Foreground pixels of the mask.
        protocol: Decides on 0.5, explicit thresholds and quirks.
    Returns:
        (7, 258 + T) float64, rows as ``MEASURES``; columns: thresholds 255..0, 0.5, adaptive, T explicit ones.
        All in [0, 1], higher is better, but for E, whose denominator H W - 1 lets it go slightly above 1.
    """
    first = _first_levels(stat, table, protocol)
    passed = np.zeros((2, NUM_LEVELS + 1), np.int64)  # pixels at or above each level; none at 256
    passed[:, :NUM_LEVELS] = stat.counts.sum(axis=0)[:, ::-1].cumsum(axis=1)[:, ::-1]
    fp, tp = passed[:, first]
    out = np.empty((len(MEASURES), len(first)))
    out[0] = enhanced_alignment(tp, fp, num_fg, stat.num_pixels)
    out[1:] = ratios(tp, fp, num_fg, stat.num_pixels, protocol)
    return out


def _first_levels(stat: Statistic, table: LevelTable, protocol: Protocol) -> NDArray[np.intp]:
    """Return the lowest level that passes each threshold of interest."""
    explicit = () if protocol.thresholds == "all" else protocol.thresholds
    first = np.empty(EXPLICIT + len(explicit), np.intp)
    first[:NUM_LEVELS] = table.first
    first[HALF] = table.first_from(0.5, protocol.compare)
    first[ADAPTIVE] = table.first_from(_adaptive_threshold(stat, table), ">=")
    first[EXPLICIT:] = [table.first_from(t, protocol.compare) for t in explicit]
    return first


def _adaptive_threshold(stat: Statistic, table: LevelTable) -> float:
    """Return twice the map's mean, at most 1.

    Where that meets a level's value up to rounding, the order of summation decides which pixels pass; then the
    mean is taken over pixels in numpy's order, as the reference does.
    """
    mean = float((stat.counts.sum(axis=(0, 1)) * table.value).sum()) / stat.num_pixels
    if np.abs(table.value - 2 * mean).min() < 1e-9:
        mean = float(np.mean(table.value[stat.levels]))
    return min(2 * mean, 1.0)


def ratios(tp: NDArray, fp: NDArray, num_fg: int, num_pixels: int, protocol: Protocol) -> Curves:
    """Return Dice, IoU, precision, recall, specificity and F (beta^2 = 1) from counts; 0/0 is 0.

    Args:
        tp: (T,) true positives at each threshold.
        fp: (T,) false positives.
        num_fg: Foreground pixels of the mask.
        num_pixels: All pixels.
        protocol: ``zero_tp`` and ``iou`` are followed.
    Returns:
        (6, T) float64 in [0, 1].
    """
    fn, tn = num_fg - tp, num_pixels - num_fg - fp
    none = tp == 0
    if protocol.zero_tp == "one":
        tp = np.where(none, 1, tp)
    top = np.stack([2 * tp, tp, tp, tp, tn])
    bottom = np.stack([tp + fn + tp + fp, tp + fp + fn, tp + fp, tp + fn, tn + fp])
    out = np.zeros((6, len(tp)))
    np.divide(top, bottom, out=out[:5], where=bottom != 0)
    precision, recall = out[2], out[3]
    total = precision + recall
    np.divide(2 * precision * recall, total, out=out[5], where=total != 0)
    if protocol.zero_tp == "zero":
        out[4][none] = 0
    if protocol.iou == "mean":
        other = tn + fp + fn
        out[1] = (out[1] + np.divide(tn, other, out=np.zeros(len(tn)), where=other != 0)) / 2
    return out


def enhanced_alignment(tp: NDArray, fp: NDArray, num_fg: int, num_pixels: int) -> Curves:
    """Return E, the enhanced-alignment measure, from counts.

    With b and g the binarised map and the mask minus their means, each pixel contributes (a + 1)^2 / 4,
    a = 2 b g / (b^2 + g^2 + eps); the sum is divided by H W - 1 + eps. Pixels fall into four classes, so the
    sum has four terms. An empty mask counts the pixels left background, a full one those made foreground.

    Args:
        tp: (T,) true positives at each threshold.
        fp: (T,) false positives.
        num_fg: Foreground pixels of the mask.
        num_pixels: All pixels.
    Returns:
        (T,) float64; a perfect map has H W / (H W - 1). For a single pixel the denominator is eps.
    Source: Fan et al., IJCAI 2018.
    """
    positive = tp + fp
    if num_fg == 0:
        total = (num_pixels - positive).astype(np.float64)
    elif num_fg == num_pixels:
        total = positive.astype(np.float64)
    else:
        fn = num_fg - tp
        parts = np.stack([tp, fp, fn, num_pixels - positive - fn])
        b_mean, g_mean = positive / num_pixels, num_fg / num_pixels
        b = np.stack([1 - b_mean, 1 - b_mean, 0 - b_mean, 0 - b_mean])
        g_parts = [1 - g_mean, 0 - g_mean, 1 - g_mean, 0 - g_mean]
        g = np.array(g_parts)[:, None]
        g_square = np.array([v**2 for v in g_parts])[:, None]  # Python's power, an ulp off g * g at times
        align = 2 * (b * g) / (b**2 + g_square + EPS)
        total = ((align + 1) ** 2 / 4 * parts).sum(axis=0)
    return total / (num_pixels - 1 + EPS)
