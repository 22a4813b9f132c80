"""The passes over pixels, compiled by numba: one thread, no fast-math, so that every digit is defined.

Importing this module compiles the kernels once and keeps them in numba's cache; where no cache directory can
be written they are compiled anew in each process. The same three functions stand in ``kernels_numpy.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from benchmark.metrics.weights import RING_SQ_MAX, rank_of_square

_FAR = 1 << 14  # a vertical distance beyond any image's height; its square and sums stay below 2**31


def _readonly(dtype: Any, ndim: int) -> Any:
    """Return the type of a C-ordered array that is only read; writable arrays match it too."""
    return types.Array(dtype, ndim, "C", readonly=True)


def _compiled(*signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile for one signature, with the cache on disk if there is a place for it."""

    def wrap(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(signature, cache=True, nogil=True)(function)
        except (RuntimeError, OSError):  # numba found no directory that it may write
            return numba.njit(signature, nogil=True)(function)

    return wrap


_u8, _u16, _u64, _i32, _i64, _f8 = (
    types.uint8,
    types.uint16,
    types.uint64,
    types.int32,
    types.int64,
    types.float64,
)


@_compiled(_readonly(types.boolean, 2), types.Array(_i32, 2, "C"), _i64, _i64)
def _vertical_distance(mask, gap, x0, x1):  # type: ignore[no-untyped-def]
    """Write each pixel's vertical distance to the foreground of its own column, columns x0..x1."""
    height, width = mask.shape[0], x1 - x0
    for x in range(width):
        gap[0, x] = 0 if mask[0, x0 + x] else _FAR
    for y in range(1, height):
        for x in range(width):
            gap[y, x] = 0 if mask[y, x0 + x] else gap[y - 1, x] + 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            gap[y, x] = min(gap[y, x], gap[y + 1, x] + 1)


@_compiled(
    types.Array(_i32, 2, "C"),
    _i64,
    _readonly(_u16, 1),
    types.Array(_u16, 2, "C"),
)
def _rank_rows(gap, x0, rank_of, rank):  # type: ignore[no-untyped-def]
    """Write each pixel's distance rank: per row, the lower envelope of one parabola per column."""
    height, width, columns = rank.shape[0], rank.shape[1], gap.shape[1]
    last = len(rank_of) - 1
    at = np.empty(columns + 1, np.int64)  # columns of the envelope's parabolas
    up = np.empty(columns + 1, np.int64)  # their heights, the squared vertical distances
    for y in range(height):
        n = 0
        for x in range(columns):
            g = np.int64(gap[y, x])
            if g >= _FAR:
                continue
            q, f = x0 + x, g * g
            while n >= 2:  # drop the middle one of three if the outer two meet below it
                left = (up[n - 1] - up[n - 2] + at[n - 1] * at[n - 1] - at[n - 2] * at[n - 2]) * (q - at[n - 1])
                right = (f - up[n - 1] + q * q - at[n - 1] * at[n - 1]) * (at[n - 1] - at[n - 2])
                if left < right:
                    break
                n -= 1
            at[n], up[n] = q, f
            n += 1
        k = 0
        for x in range(width):
            d = up[k] + (x - at[k]) * (x - at[k])
            while k + 1 < n:
                e = up[k + 1] + (x - at[k + 1]) * (x - at[k + 1])
                if e > d:
                    break
                k, d = k + 1, e
            rank[y, x] = rank_of[min(d, last)]


@_compiled(
    _readonly(types.boolean, 2),
    _readonly(_u16, 2),
    _readonly(_i64, 2),
    _i64,
    types.Array(_i64, 1, "C"),
    types.Array(_i64, 1, "C"),
)
def _ring(mask, rank, offsets, rank_max, at, source):  # type: ignore[no-untyped-def]
    """List the pixels next to the foreground and the nearest foreground pixel of each; return how many."""
    height, width = mask.shape
    n = 0
    for y in range(height):
        for x in range(width):
            if rank[y, x] == 0 or rank[y, x] > rank_max:
                continue
            for i in range(len(offsets)):
                v, u = y + offsets[i, 0], x + offsets[i, 1]
                if 0 <= v < height and 0 <= u < width and mask[v, u]:
                    if n < len(at):
                        at[n], source[n] = y * width + x, v * width + u
                    n += 1
                    break
    return n


def _offsets() -> NDArray[np.int64]:
    """Return the steps to all pixels within the ring's distance: nearest first, then lowest column, then row."""
    steps = [(dy, dx) for dy in range(-4, 5) for dx in range(-4, 5) if 0 < dy * dy + dx * dx <= RING_SQ_MAX]
    return np.array(sorted(steps, key=lambda s: (s[0] ** 2 + s[1] ** 2, s[1], s[0])), np.int64)


_OFFSETS = _offsets()


def nearest_foreground(mask: NDArray[np.bool_]) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
    """See ``kernels_numpy.nearest_foreground``."""
    columns = np.flatnonzero(mask.any(axis=0))
    x0, x1 = int(columns[0]), int(columns[-1]) + 1
    gap = np.empty((mask.shape[0], x1 - x0), np.int32)
    _vertical_distance(mask, gap, x0, x1)
    rank = np.empty(mask.shape, np.uint16)
    table = rank_of_square()
    _rank_rows(gap, x0, table, rank)
    rank_max, room = int(table[RING_SQ_MAX]), 1 << 14
    while True:
        at, source = np.empty(room, np.int64), np.empty(room, np.int64)
        n = _ring(mask, rank, _OFFSETS, rank_max, at, source)
        if n <= room:
            return rank, at[:n], source[:n]
        room = n


@_compiled(
    _readonly(_u8, 2),
    _readonly(_u16, 2),
    _readonly(_u64, 1),
    _i64,
    _i64,
    _u8,
    types.Array(_i32, 2, "C"),
    types.Array(_u64, 2, "C"),
)
def _count(levels, rank, weight, cy, cx, base, counts, sums):  # type: ignore[no-untyped-def]
    """Count into (4 quadrants, 512) and sum into (4, 256); blocks that hold only ``base`` are passed over.

    The four rows of ``sums`` serve four neighbours each, so that equal levels side by side need not wait for
    one another.
    """
    height, width = levels.shape
    for y in range(height):
        for half in range(2):
            quadrant = (0 if y < cy else 2) + half
            x, end = (0, cx) if half == 0 else (cx, width)
            while x < end:
                stop = x + 32
                if stop <= end:
                    differs = np.uint8(0)
                    for i in range(32):
                        differs |= levels[y, x + i] ^ base
                    if differs == 0:
                        x = stop
                        continue
                else:
                    stop = end
                for i in range(x, stop):
                    level, r = np.int64(levels[y, i]), rank[y, i]
                    counts[quadrant, level + (256 if r == 0 else 0)] += 1
                    sums[i & 3, level] += weight[r]
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


@_compiled(
    _readonly(_u8, 2),
    _readonly(_f8, 1),
    _readonly(_u16, 2),
    _i64,
    _i64,
    _readonly(_i32, 1),
    _readonly(_i32, 1),
    _readonly(_f8, 1),
    types.Array(_f8, 2, "C"),
    types.Array(_f8, 2, "C"),
    types.Array(_f8, 1, "C"),
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
