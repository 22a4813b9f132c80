"""Compiled passes over a mask's pixels, for its plan. The same functions stand in ``kernels_numpy.py``."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from benchmark.metrics.jit import I32, I64, U8, U16, compiled, readonly
from benchmark.metrics.weights import FAR_PX, RING_SQ_MAX, rank_of_square, squares

_FAR = FAR_PX + 1  # a vertical distance from which on no pixel of the column can matter; fits 8 bits


@compiled(readonly(types.boolean, 2), types.Array(I64, 1, "C"), types.Array(I32, 1, "C"))
def _project(mask, rows, cols):  # type: ignore[no-untyped-def]
    """Count the foreground of each row and column."""
    for y in range(mask.shape[0]):
        n = np.int32(0)
        for x in range(mask.shape[1]):
            one = np.int32(mask[y, x])
            n += one
            cols[x] += one
        rows[y] = n


def project(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """See ``kernels_numpy.project``."""
    rows, cols = np.empty(mask.shape[0], np.int64), np.zeros(mask.shape[1], np.int32)
    _project(mask, rows, cols)
    return rows, cols.astype(np.int64)


@compiled(readonly(types.boolean, 2), types.Array(U8, 2, "C"), I64)
def _vertical_distance(mask, gap, x0):  # type: ignore[no-untyped-def]
    """Write each pixel's vertical distance to the foreground of its own column, at most ``_FAR``."""
    height, width = gap.shape
    for x in range(width):
        gap[0, x] = 0 if mask[0, x0 + x] else _FAR
    for y in range(1, height):
        for x in range(width):
            above = gap[y - 1, x]
            gap[y, x] = np.uint8(0) if mask[y, x0 + x] else np.uint8(above + (above < _FAR))
    for y in range(height - 2, -1, -1):
        for x in range(width):
            below = gap[y + 1, x]
            gap[y, x] = min(gap[y, x], np.uint8(below + (below < _FAR)))


@compiled(types.Array(U8, 2, "C"), I64, readonly(U16, 1), types.Array(U16, 2, "C"))
def _rank_rows(gap, x0, rank_of, rank):  # type: ignore[no-untyped-def]
    """Write each pixel's distance rank: per row, the lower envelope of one parabola per column.

    The parabola of column a is (x - a)^2 + gap^2 = x^2 - 2 a x + top, top = gap^2 + a^2. Column q > a wins
    from x = ceil((top_q - top_a) / (2 (q - a))) on; a double's quotient of such integers never rounds across
    an integer. Foreground pixels with foreground on both sides are nearest to no other pixel and are omitted.
    """
    height, width, columns = rank.shape[0], rank.shape[1], gap.shape[1]
    last = len(rank_of) - 1
    far = rank_of[last]
    at, top = np.empty(columns + 1, np.int64), np.empty(columns + 1, np.int64)
    start = np.empty(columns + 2, np.int64)
    for y in range(height):
        n = 0
        for x in range(columns):
            g = np.int64(gap[y, x])
            if g == _FAR:
                continue
            if g == 0 and 0 < x < columns - 1 and gap[y, x - 1] == 0 and gap[y, x + 1] == 0:
                continue
            q = x0 + x
            h, s = g * g + q * q, np.int64(0)
            while n > 0:
                s = np.int64(np.ceil((h - top[n - 1]) / (2.0 * (q - at[n - 1]))))
                if s > start[n - 1]:
                    break
                n -= 1
            if n == 0:
                s = np.int64(0)
            if s < width:
                at[n], top[n], start[n] = q, h, s
                n += 1
        low, high = 0, 0
        if n > 0:
            low, high = max(0, at[0] - _FAR), min(width, at[n - 1] + _FAR)
        start[n] = width
        for x in range(low):
            rank[y, x] = far
        for k in range(n):
            a, rest = at[k], top[k] - at[k] * at[k]
            for x in range(max(low, start[k]), min(high, start[k + 1])):
                rank[y, x] = rank_of[np.uint64(min((x - a) * (x - a) + rest, last))]
        for x in range(high, width):
            rank[y, x] = far
        for x in range(columns):
            if gap[y, x] == 0:
                rank[y, x0 + x] = 0


@compiled(
    readonly(U16, 2),
    readonly(I64, 2),
    readonly(I64, 1),
    I64,
    I64,
    types.Array(I64, 1, "C"),
    types.Array(I64, 1, "C"),
)
def _ring(rank, steps, group, y0, y1, at, source):  # type: ignore[no-untyped-def]
    """List the pixels next to the foreground and the nearest foreground pixel of each; return how many.

    A pixel's rank tells the distance of its nearest foreground, so only the steps of that length are tried.
    """
    height, width = rank.shape
    top_rank = len(group) - 2
    n = 0
    for y in range(y0, y1):
        for x in range(width):
            r = np.int64(rank[y, x])
            if r == 0 or r > top_rank:
                continue
            for i in range(group[r], group[r + 1]):
                v, u = y + steps[i, 0], x + steps[i, 1]
                if 0 <= v < height and 0 <= u < width and rank[v, u] == 0:
                    if n < len(at):
                        at[n], source[n] = y * width + x, v * width + u
                    n += 1
                    break
    return n


def _ring_steps() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the steps to all pixels within the ring's distance and where each distance rank's steps begin.

    Within a rank the lowest column comes first, then the lowest row, which is scipy's choice between equals.
    """
    near = squares()[squares() <= RING_SQ_MAX]
    steps: list[tuple[int, int]] = []
    group = []
    for square in near:
        group.append(len(steps))
        steps += [(dy, dx) for dx in range(-4, 5) for dy in range(-4, 5) if dy * dy + dx * dx == square]
    return np.array(steps, np.int64), np.array([*group, len(steps)], np.int64)


_STEPS, _GROUP = _ring_steps()


def nearest_foreground(
    mask: NDArray[np.bool_], box: tuple[int, int, int, int]
) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
    """See ``kernels_numpy.nearest_foreground``."""
    y0, y1, x0, x1 = box
    gap = np.empty((mask.shape[0], x1 - x0), np.uint8)
    _vertical_distance(mask, gap, x0)
    rank = np.empty(mask.shape, np.uint16)
    _rank_rows(gap, x0, rank_of_square(), rank)
    room = 1 << 13
    while True:
        at, source = np.empty(room, np.int64), np.empty(room, np.int64)
        n = _ring(rank, _STEPS, _GROUP, max(0, y0 - 4), min(mask.shape[0], y1 + 4), at, source)
        if n <= room:
            return rank, at[:n], source[:n]
        room = n
