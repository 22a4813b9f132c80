"""Compiled passes over a map's pixels and levels. The same functions stand in ``kernels_numpy.py``."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from benchmark.metrics.jit import F8, I32, I64, U8, U16, U64, compiled, readonly
from benchmark.metrics.kernels_plan import nearest_foreground, project
from benchmark.metrics.ratios import EPS, centred_mask

__all__ = [
    "foreground_errors",
    "joint_histogram",
    "moments",
    "nearest_foreground",
    "project",
    "threshold_table",
]


@compiled(
    readonly(U8, 2),
    readonly(U16, 2),
    readonly(U64, 1),
    I64,
    I64,
    U8,
    types.Array(I32, 2, "C"),
    types.Array(U64, 2, "C"),
)
def _count(levels, rank, weight, cy, cx, base, counts, sums):  # type: ignore[no-untyped-def]
    """Count into (4 quadrants, 512) and sum into (4, 256), passing over blocks that hold only ``base``.

    The four rows of ``sums`` serve four neighbours each, so that equal levels side by side need not wait for
    one another. Unsigned indices spare the test for negative ones, a third of the time.
    """
    height, width = levels.shape
    upper = np.uint64(256)
    for y in range(height):
        level_row, rank_row = levels[y], rank[y]
        for half in range(2):
            count = counts[(0 if y < cy else 2) + half]
            x, end = (0, cx) if half == 0 else (cx, width)
            while x < end:
                stop = min(x + 32, end)
                if stop - x == 32:
                    first = level_row[np.uint64(x)]
                    off_base, off_first, background = np.uint8(0), np.uint8(0), np.uint16(0)
                    for i in range(32):
                        level = level_row[np.uint64(x + i)]
                        off_base |= level ^ base
                        off_first |= level ^ first
                        background |= rank_row[np.uint64(x + i)]
                    if off_base == 0 or (background == 0 and off_first == 0):
                        if off_base != 0:
                            count[np.uint64(first) + upper] += np.int32(32)
                        x = stop
                        continue
                for i in range(np.uint64(x), np.uint64(stop)):
                    index, r = np.uint64(level_row[i]), np.uint64(rank_row[i])
                    count[index + (upper if r == 0 else np.uint64(0))] += np.int32(1)
                    sums[i & np.uint64(3), index] += weight[r]
                x = stop


def joint_histogram(
    levels: NDArray[np.uint8],
    rank: NDArray[np.uint16],
    weight: NDArray[np.uint64],
    cy: int,
    cx: int,
    base: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """See ``kernels_numpy.joint_histogram``."""
    counts, sums = np.zeros((4, 512), np.int32), np.zeros((4, 256), np.uint64)
    _count(levels, rank, weight, cy, cx, base, counts, sums)
    total, joint = sums.sum(axis=0), counts.reshape(4, 2, 256).astype(np.int64)
    total[base] = 0
    joint[:, :, base] = 0
    return joint, total


@compiled(
    readonly(U8, 2),
    readonly(F8, 1),
    readonly(U16, 2),
    I64,
    I64,
    readonly(I32, 1),
    readonly(I32, 1),
    readonly(F8, 1),
    types.Array(F8, 2, "C"),
    types.Array(F8, 2, "C"),
    types.Array(F8, 1, "C"),
)
def _smooth(levels, error, rank, y0, x0, ring_at, ring_from, taps, field, rows, out):  # type: ignore[no-untyped-def]
    """Fill the padded box with errors, filter along rows, then columns, and keep the smaller error."""
    flat, source = field.reshape(-1), levels.reshape(-1)
    height, width = field.shape[0] - 6, field.shape[1] - 6
    for y in range(height):
        for x in range(width):
            if rank[y0 + y, x0 + x] == 0:
                field[y + 3, x + 3] = error[levels[y0 + y, x0 + x]]
    for i in range(len(ring_at)):
        flat[ring_at[i]] = error[source[ring_from[i]]]
    for y in range(height + 6):
        f = field[y]
        for x in range(width):
            rows[y, x] = (
                taps[3] * f[x + 3]
                + taps[2] * (f[x + 2] + f[x + 4])
                + taps[1] * (f[x + 1] + f[x + 5])
                + taps[0] * (f[x] + f[x + 6])
            )
    line, n = np.empty(width, np.float64), 0
    for y in range(height):
        for x in range(width):
            line[x] = (
                taps[3] * rows[y + 3, x]
                + taps[2] * (rows[y + 2, x] + rows[y + 4, x])
                + taps[1] * (rows[y + 1, x] + rows[y + 5, x])
                + taps[0] * (rows[y, x] + rows[y + 6, x])
            )
        for x in range(width):
            if rank[y0 + y, x0 + x] == 0:
                out[n] = min(field[y + 3, x + 3], line[x])
                n += 1


def foreground_errors(
    levels: NDArray[np.uint8],
    error: NDArray[np.float64],
    rank: NDArray[np.uint16],
    box: tuple[int, int, int, int],
    ring: tuple[NDArray[np.int32], NDArray[np.int32]],
    taps: NDArray[np.float64],
    num_fg: int,
) -> NDArray[np.float64]:
    """See ``kernels_numpy.foreground_errors``."""
    y0, y1, x0, x1 = box
    field = np.zeros((y1 - y0 + 6, x1 - x0 + 6))
    rows, out = np.empty((y1 - y0 + 6, x1 - x0)), np.empty(num_fg)
    _smooth(levels, error, rank, y0, x0, ring[0], ring[1], taps, field, rows, out)
    return out


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
    counts: NDArray[np.int64], first: NDArray[np.int64], num_fg: int, zero_tp: str, mean_iou: bool
) -> NDArray[np.float64]:
    """See ``kernels_numpy.threshold_table``."""
    num_pixels = int(counts.sum())
    out = np.empty((7, len(first)))
    g, g_square = centred_mask(num_fg, num_pixels)
    _threshold_table(counts, first, num_fg, num_pixels, _ZERO_TP[zero_tp], mean_iou, g, g_square, out)
    return out
