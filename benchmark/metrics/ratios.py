"""Formulas of the thresholded measures, from counts at many thresholds at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EPS = float(np.spacing(1.0))

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def ratios(
    tp: Counts, fp: Counts, num_fg: int, num_pixels: int, *, zero_tp: str = "formula", mean_iou: bool = False
) -> Values:
    """Return Dice, IoU, precision, recall, specificity and F (beta^2 = 1) from counts; 0/0 is 0.

    Args:
        tp: (T,) true positives at each threshold.
        fp: (T,) false positives.
        num_fg: Foreground pixels of the mask.
        num_pixels: All pixels.
        zero_tp: See ``Protocol.zero_tp``.
        mean_iou: Average foreground and background IoU.
    Returns:
        (6, T) float64 in [0, 1].
    """
    fn, tn = num_fg - tp, num_pixels - num_fg - fp
    none = tp == 0
    if zero_tp == "one":
        tp = np.where(none, 1, tp)
    top = np.stack([2 * tp, tp, tp, tp, tn])
    bottom = np.stack([tp + fn + tp + fp, tp + fp + fn, tp + fp, tp + fn, tn + fp])
    out = np.zeros((6, len(tp)))
    np.divide(top, bottom, out=out[:5], where=bottom != 0)
    precision, recall = out[2], out[3]
    total = precision + recall
    np.divide(2 * precision * recall, total, out=out[5], where=total != 0)
    if zero_tp == "zero":
        out[4][none] = 0
    if mean_iou:
        out[1] = (out[1] + _share(tn, tn + fp + fn)) / 2
    return out


def background_overlap(tp: Counts, fp: Counts, num_fg: int, num_pixels: int, *, twice: int) -> Values:
    """Return the background's Dice (``twice = 2``) or IoU (``twice = 1``), (T,) in [0, 1]; 0/0 is 0.

    Args:
        tp: (T,) true positives at each threshold.
        fp: (T,) false positives.
        num_fg: Foreground pixels of the mask.
        num_pixels: All pixels.
        twice: How often a true negative counts.
    """
    tn = num_pixels - num_fg - fp
    return _share(twice * tn, twice * tn + fp + num_fg - tp)


def _share(part: Counts, whole: Counts) -> Values:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0)


def enhanced_alignment(tp: Counts, fp: Counts, num_fg: int, num_pixels: int) -> Values:
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
        b_mean = positive / num_pixels
        b = np.stack([1 - b_mean, 1 - b_mean, 0 - b_mean, 0 - b_mean])
        g, g_square = centred_mask(num_fg, num_pixels)
        align = 2 * (b * g[:, None]) / (b * b + g_square[:, None] + EPS)
        a = align + 1
        total = (a * a / 4 * parts).sum(axis=0)
    return total / (num_pixels - 1 + EPS)


def centred_mask(num_fg: int, num_pixels: int) -> tuple[Values, Values]:
    """Return the centred mask's value and its square for true and false positives, false and true negatives.

    The square is Python's power, which differs from a product in the last place now and then.
    """
    mean = num_fg / num_pixels
    parts = [1 - mean, 0 - mean, 1 - mean, 0 - mean]
    return np.array(parts), np.array([v**2 for v in parts])
