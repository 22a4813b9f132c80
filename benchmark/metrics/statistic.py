"""The sufficient statistic: one pass over a map's pixels gives all that most measures need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.backend import kernels
from benchmark.metrics.levels import Levels
from benchmark.metrics.plans import Plan
from benchmark.metrics.weights import fixed_weights, scale_bits


@dataclass(frozen=True, eq=False)
class Statistic:
    """Joint counts of one map and one mask.

    Attributes:
        levels: (H, W) the map itself, 8 bits.
        low: Its lowest level.
        high: Its highest level.
        counts: (4, 2, 256) pixels per quadrant around the mask's centroid (upper left, upper right, lower
            left, lower right), background and foreground, and level.
        weighted: (256,) sum of the importances of each level's background pixels.
    """

    levels: Levels
    low: int
    high: int
    counts: NDArray[np.int64]
    weighted: NDArray[np.float64]

    @property
    def num_pixels(self) -> int:
        """H times W."""
        return self.levels.size


def collect(levels: Levels, plan: Plan, *, half_up: bool) -> Statistic:
    """Take the statistic of a map whose shape is the plan's.

    Args:
        levels: (H, W) uint8.
        plan: The mask's plan.
        half_up: Round the centroid half away from zero, as MATLAB does, instead of half to even.
    """
    low, high = int(levels.min()), int(levels.max())
    cy, cx = plan.split(half_up)
    bits = scale_bits(levels.size)
    counts, sums = kernels().joint_histogram(levels, plan.rank, fixed_weights(bits), cy, cx, low)
    # The lowest level, by far the most frequent in a good map, is what the others leave of the totals.
    counts[:, :, low] = _quadrant_totals(plan, cy, cx, half_up) - counts.sum(axis=2)
    sums[low] = plan.weight_total - int(sums.sum())
    return Statistic(levels, low, high, counts, np.ldexp(sums.astype(np.float64), -bits))


def _quadrant_totals(plan: Plan, cy: int, cx: int, half_up: bool) -> NDArray[np.int64]:
    """Return (4, 2): background and foreground pixels per quadrant."""
    height, width = plan.shape
    size = np.array([cy * cx, cy * (width - cx), (height - cy) * cx, (height - cy) * (width - cx)])
    foreground = plan.quadrants[int(half_up)]
    return np.stack([size - foreground, foreground], axis=1)
