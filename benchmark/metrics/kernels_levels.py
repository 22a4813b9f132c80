"""Compiled passes over a map's 256 levels. The same functions stand in ``kernels_numpy.py``."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from benchmark.metrics.jit import F8, I64, compiled, readonly
from benchmark.metrics.ratios import EPS, centred_mask


@compiled(
    readonly(I64, 3),
    readonly(F8, 1),
    types.Array(F8, 2, "C"),
    types.Array(F8, 2, "C"),
    types.Array(F8, 1, "C"),
)
def _moments(counts, value, quadrants, classes, sums):  # type: ignore[no-untyped-def]
    """Fill in the four quadrants' and the two classes' moments and the two sums, levels in ascending order."""
    whole = np.zeros((2, 256), np.int64)
    for q in range(4):
        n = fg = used = np.int64(0)
        total = squares = below = above = 0.0
        for i in range(256):
            whole[0, i] += counts[q, 0, i]
            whole[1, i] += counts[q, 1, i]
            here = counts[q, 0, i] + counts[q, 1, i]
            n += here
            fg += counts[q, 1, i]
            used += here > 0
            total += here * value[i]
        mean = total / n if n > 0 else 0.0
        for i in range(256):
            spread = value[i] - mean
            squares += (counts[q, 0, i] + counts[q, 1, i]) * (spread * spread)
            below += counts[q, 0, i] * spread
            above += counts[q, 1, i] * spread
        row = quadrants[q]
        row[0], row[1], row[2], row[3], row[4], row[5], row[6] = n, fg, used, mean, squares, below, above
    for c in range(2):
        n, total, squares = np.int64(0), 0.0, 0.0
        for i in range(256):
            n += whole[c, i]
            total += whole[c, i] * (value[i] if c == 1 else 1 - value[i])
        mean = total / n if n > 0 else 0.0
        for i in range(256):
            spread = (value[i] if c == 1 else 1 - value[i]) - mean
            squares += whole[c, i] * (spread * spread)
        classes[c, 0], classes[c, 1], classes[c, 2] = n, mean, squares
    total = error = 0.0
    for i in range(256):
        total += (whole[0, i] + whole[1, i]) * value[i]
        error += whole[0, i] * value[i] + whole[1, i] * (1 - value[i])
    sums[0], sums[1] = total, error


def moments(
    counts: NDArray[np.int64], value: NDArray[np.float64]
) -> tuple[list[list[float]], list[list[float]], float, float]:
    """See ``kernels_numpy.moments``."""
    quadrants, classes, sums = np.empty((4, 7)), np.empty((2, 3)), np.empty(2)
    _moments(counts, value, quadrants, classes, sums)
    return quadrants.tolist(), classes.tolist(), float(sums[0]), float(sums[1])


@compiled(
    readonly(I64, 3),
    readonly(I64, 1),
    I64,
    I64,
    I64,
    types.boolean,
    readonly(F8, 1),
    readonly(F8, 1),
    types.Array(F8, 2, "C"),
)
def _threshold_table(counts, first, num_fg, num_pixels, zero_tp, mean_iou, g, g_square, out):  # type: ignore[no-untyped-def]
    """Fill in the measures at each threshold; zero_tp is 0 (formula), 1 (zero) or 2 (one)."""
    passed = np.zeros((2, 257), np.int64)
    for c in range(2):
        for i in range(255, -1, -1):
            here = counts[0, c, i] + counts[1, c, i] + counts[2, c, i] + counts[3, c, i]
            passed[c, i] = passed[c, i + 1] + here
    ratio = np.empty(5)
    for k in range(len(first)):
        tp, fp = passed[1, first[k]], passed[0, first[k]]
        fn, tn = num_fg - tp, num_pixels - num_fg - fp
        positive = tp + fp
        if num_fg == 0:
            total = float(num_pixels - positive)
        elif num_fg == num_pixels:
            total = float(positive)
        else:
            total = 0.0
            b_mean = positive / num_pixels
            parts = (tp, fp, fn, num_pixels - positive - fn)
            for i in range(4):
                b = (1 - b_mean) if i < 2 else (0 - b_mean)
                a = 2 * (b * g[i]) / (b * b + g_square[i] + EPS) + 1
                total += a * a / 4 * parts[i]
        out[0, k] = total / (num_pixels - 1 + EPS)
        none = tp == 0
        if none and zero_tp == 2:
            tp = 1
        top = (2 * tp, tp, tp, tp, tn)
        bottom = (tp + fn + tp + fp, tp + fp + fn, tp + fp, tp + fn, tn + fp)
        for i in range(5):
            ratio[i] = top[i] / bottom[i] if bottom[i] != 0 else 0.0
            out[1 + i, k] = ratio[i]
        both = ratio[2] + ratio[3]
        out[6, k] = 2 * ratio[2] * ratio[3] / both if both != 0 else 0.0
        if none and zero_tp == 1:
            out[5, k] = 0.0
        if mean_iou:
            other = tn + fp + fn
            out[2, k] = (ratio[1] + (tn / other if other != 0 else 0.0)) / 2


_ZERO_TP = {"formula": 0, "zero": 1, "one": 2}


def threshold_table(
    counts: NDArray[np.int64],
    first: NDArray[np.int64],
    num_fg: int,
    num_pixels: int,
    zero_tp: str,
    mean_iou: bool,
) -> NDArray[np.float64]:
    """See ``kernels_numpy.threshold_table``."""
    out = np.empty((7, len(first)))
    g, g_square = centred_mask(num_fg, num_pixels)
    _threshold_table(counts, first, num_fg, num_pixels, _ZERO_TP[zero_tp], mean_iou, g, g_square, out)
    return out
