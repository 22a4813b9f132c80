"""What scoring needs to know of a mask, computed once and kept for every map that is scored against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import floor

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.backend import kernels
from benchmark.metrics.levels import Mask, check_mask, resize_mask
from benchmark.metrics.weights import fixed_weights, scale_bits, squares


@dataclass(frozen=True, eq=False)
class Plan:
    """Facts of one mask that no map can change. Made by ``plan``; read-only.

    Attributes:
        num_fg: Foreground pixels.
        row_sum: Sum of the foreground's row indices; with ``col_sum`` it gives the centroid.
        col_sum: Sum of its column indices.
        box: Rows y0 to y1 and columns x0 to x1 (exclusive) that hold the foreground; zeros if there is none.
        quadrants: (2, 4) foreground pixels per quadrant around the centroid rounded half to even, half up.
        rank: (H, W) uint16, rank of the distance to the foreground, 0 inside it.
        ring_at: (R,) int32, flat indices into the box padded by 3 pixels: background pixels next to the
            foreground.
        ring_from: (R,) int32, flat index into the map of each one's nearest foreground pixel.
    """

    num_fg: int
    row_sum: int
    col_sum: int
    box: tuple[int, int, int, int]
    quadrants: NDArray[np.int64]
    rank: NDArray[np.uint16]
    ring_at: NDArray[np.int32]
    ring_from: NDArray[np.int32]
    _resized: dict[int, Plan] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the mask."""
        return self.rank.shape  # type: ignore[return-value]

    @property
    def mask(self) -> Mask:
        """The mask itself, (H, W)."""
        return self.rank == 0

    @cached_property
    def weight_total(self) -> int:
        """Fixed-point sum of the background's importances (see ``weights``)."""
        return int(fixed_weights(scale_bits(self.rank.size))[self.rank].sum())

    def split(self, half_up: bool) -> tuple[int, int]:
        """Return how many rows lie above, and columns left of, the split into quadrants for S."""
        return (
            _split_at(self.row_sum, self.num_fg, self.shape[0], half_up),
            _split_at(self.col_sum, self.num_fg, self.shape[1], half_up),
        )

    def resized(self, size_px: int) -> Plan:
        """Return the plan of the mask resized to a square, kept after the first call."""
        if self.shape == (size_px, size_px):
            return self
        if size_px not in self._resized:
            self._resized[size_px] = plan(resize_mask(self.mask, size_px))
        return self._resized[size_px]


def _split_at(total: int, count: int, extent: int, half_up: bool) -> int:
    """Return 1 + the rounded mean index (the centre of the extent if there is no foreground)."""
    mean = total / count if count else extent / 2
    return min(extent, (floor(mean + 0.5) if half_up else round(mean)) + 1)


def plan(mask: NDArray[np.bool_]) -> Plan:
    """Compute the plan of a mask.

    Args:
        mask: (H, W) boolean, True in the polyp. Empty and full masks are allowed.
    Raises:
        BenchError: If the mask is not a boolean (H, W) array.
    """
    mask = check_mask(mask)
    rows, cols = kernels().project(mask)
    num_fg = int(rows.sum())
    if num_fg == 0:
        return _empty_plan(mask)
    box = (*_extent(rows), *_extent(cols))
    rank, at, source = kernels().nearest_foreground(mask, box)
    ring_at, ring_from = _in_box(at, source, box, mask.shape[1])
    made = Plan(
        num_fg=num_fg,
        row_sum=int(rows @ np.arange(len(rows))),
        col_sum=int(cols @ np.arange(len(cols))),
        box=box,
        quadrants=np.zeros((2, 4), np.int64),
        rank=rank,
        ring_at=ring_at,
        ring_from=ring_from,
    )
    for i in range(2):
        made.quadrants[i] = _quadrants(mask, *made.split(half_up=bool(i)))
    return made


def _empty_plan(mask: Mask) -> Plan:
    none = np.zeros(0, np.int32)
    far = len(squares()) - 1
    return Plan(
        num_fg=0,
        row_sum=0,
        col_sum=0,
        box=(0, 0, 0, 0),
        quadrants=np.zeros((2, 4), np.int64),
        rank=np.full(mask.shape, far, np.uint16),
        ring_at=none,
        ring_from=none,
    )


def _extent(counts: NDArray[np.integer]) -> tuple[int, int]:
    """Return the first index with a count above zero and one past the last."""
    found = np.flatnonzero(counts)
    return int(found[0]), int(found[-1]) + 1


def _quadrants(mask: Mask, cy: int, cx: int) -> list[int]:
    parts = (mask[:cy, :cx], mask[:cy, cx:], mask[cy:, :cx], mask[cy:, cx:])
    return [int(np.count_nonzero(part)) for part in parts]


def _in_box(
    at: NDArray[np.int64], source: NDArray[np.int64], box: tuple[int, int, int, int], width: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Turn flat image indices into flat indices of the padded box, dropping what lies outside it."""
    y0, y1, x0, x1 = box
    y, x = at // width - (y0 - 3), at % width - (x0 - 3)
    keep = (y >= 0) & (y < y1 - y0 + 6) & (x >= 0) & (x < x1 - x0 + 6)
    return (y * (x1 - x0 + 6) + x)[keep].astype(np.int32), source[keep].astype(np.int32)
