"""Compiled passes over a map's pixels. The same functions stand in ``kernels_numpy.py``."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from benchmark.metrics.jit import F8, I32, I64, U8, U16, U64, compiled, readonly
from benchmark.metrics.kernels_levels import moments, threshold_table
from benchmark.metrics.kernels_plan import nearest_foreground, project

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
    split: tuple[int, int],
    foreground: NDArray[np.int64],
    base: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """See ``kernels_numpy.joint_histogram``."""
    counts, joint = np.zeros((4, 512), np.int32), np.empty((4, 2, 256), np.int64)
    parts, sums = np.zeros((4, 256), np.uint64), np.empty(256, np.uint64)
    _count(levels, rank, weight, *split, base, counts, parts)
    _complete(counts, parts, *levels.shape, *split, foreground, base, joint, sums)
    return joint, sums


@compiled(
    types.Array(I32, 2, "C"),
    types.Array(U64, 2, "C"),
    I64,
    I64,
    I64,
    I64,
    readonly(I64, 1),
    I64,
    types.Array(I64, 3, "C"),
    types.Array(U64, 1, "C"),
)
def _complete(counts, parts, height, width, cy, cx, foreground, base, joint, sums):  # type: ignore[no-untyped-def]
    """Join the parts; give ``base`` the pixels that the other levels leave of each quadrant's totals."""
    for q in range(4):
        size = (cy if q < 2 else height - cy) * (cx if q % 2 == 0 else width - cx)
        for c in range(2):
            left = foreground[q] if c == 1 else size - foreground[q]
            for i in range(256):
                joint[q, c, i] = counts[q, 256 * c + i]
                left -= 0 if i == base else joint[q, c, i]
            joint[q, c, base] = left
    for i in range(256):
        sums[i] = parts[0, i] + parts[1, i] + parts[2, i] + parts[3, i]
    sums[base] = 0


@compiled(
    readonly(U8, 2),
    readonly(F8, 1),
    readonly(U16, 2),
    I64,
    I64,
    I64,
    readonly(I32, 1),
    readonly(I32, 1),
    readonly(F8, 1),
    types.Array(F8, 1, "C"),
)
def _smooth(levels, error, rank, y0, y1, x0, ring_at, ring_from, taps, out):  # type: ignore[no-untyped-def]
    """Add up, per column, the smaller of error and smoothed error; the box's rows stream through 7 buffers.

    Row y of the box padded by 3 is filled and filtered along x; with it the window around row y - 3 is full.
    """
    source, width, num_ring = levels.reshape(-1), len(out), len(ring_at)
    errors, rows = np.zeros((7, width + 6)), np.zeros((7, width))
    done = 0
    for y in range(y1 - y0 + 6):
        e, h = errors[y % 7], rows[y % 7]
        e[:] = 0.0
        image_y = y0 + y - 3
        if y0 <= image_y < y1:
            level_row, rank_row = levels[image_y], rank[image_y]
            for x in range(width):
                i = np.uint64(x0 + x)
                e[np.uint64(x + 3)] = error[level_row[i]] if rank_row[i] == 0 else 0.0
        edge, begin = (y + 1) * (width + 6), y * (width + 6)
        while done < num_ring and ring_at[done] < edge:
            e[ring_at[done] - begin] = error[source[ring_from[done]]]
            done += 1
        for x in range(width):
            h[x] = (
                taps[3] * e[x + 3]
                + taps[2] * (e[x + 2] + e[x + 4])
                + taps[1] * (e[x + 1] + e[x + 5])
                + taps[0] * (e[x] + e[x + 6])
            )
        if y < 6:
            continue
        h0, h1, h2, h3 = rows[(y - 6) % 7], rows[(y - 5) % 7], rows[(y - 4) % 7], rows[(y - 3) % 7]
        h4, h5, h6 = rows[(y - 2) % 7], rows[(y - 1) % 7], rows[y % 7]
        e, rank_row = errors[(y - 3) % 7], rank[image_y - 3]
        for x in range(width):
            smooth = taps[3] * h3[x] + taps[2] * (h2[x] + h4[x]) + taps[1] * (h1[x] + h5[x]) + taps[0] * (h0[x] + h6[x])
            least = min(e[x + 3], smooth)
            out[x] += least if rank_row[np.uint64(x0 + x)] == 0 else 0.0


def foreground_errors(
    levels: NDArray[np.uint8],
    error: NDArray[np.float64],
    rank: NDArray[np.uint16],
    box: tuple[int, int, int, int],
    ring: tuple[NDArray[np.int32], NDArray[np.int32]],
    taps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See ``kernels_numpy.foreground_errors``."""
    y0, y1, x0, x1 = box
    out = np.zeros(x1 - x0)
    _smooth(levels, error, rank, y0, y1, x0, ring[0], ring[1], taps, out)
    return out
