"""The sufficient statistic: one pass over a map's pixels gives all that most measures need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.backend import kernels
from benchmark.metrics.levels import Levels, LevelTable
from benchmark.metrics.plans import Plan
from benchmark.metrics.weights import fixed_weights, scale_bits


class Moments(NamedTuple):
    """Sums over the values of a map's pixels.

    Attributes:
        quadrants: Four times: pixels, foreground pixels, distinct levels, mean, sum of squared deviations, sum of
            deviations over the background, over the foreground.
        classes: Background, foreground: pixels, mean, sum of squared deviations; the background of 1 - value.
        value: Sum of values.
        error: Sum of |value - mask|.
    """

    quadrants: list[list[float]]
    classes: list[list[float]]
    value: float
    error: float


@dataclass(frozen=True, eq=False)
class Statistic:
    """Joint counts of one map and one mask.

    Attributes:
        levels: (H, W) the map itself, 8 bits.
        plan: The mask's plan.
        split: Rows above and columns left of the split into quadrants, the mask's rounded centroid.
        low: The map's lowest level.
        counts: (4, 2, 256) pixels per quadrant (upper left, upper right, lower left, lower right), background
            and foreground, and level.
        weights: (256,) fixed-point sum of the importances of each level's background pixels; 0 at ``low``.
    """

    levels: Levels
    plan: Plan
    split: tuple[int, int]
    low: int
    counts: NDArray[np.int64]
    weights: NDArray[np.uint64]

    @property
    def num_pixels(self) -> int:
        """H times W."""
        return self.levels.size

    def moments(self, table: LevelTable) -> Moments:
        """Return the sums that MAE and S need."""
        return Moments(*kernels().moments(self.counts, table.value))

    def weighted_background(self, table: LevelTable) -> float:
        """Return the sum of value times importance over the background's pixels."""
        sums = self.weights
        if table.value[self.low] != 0:  # else the plan's total, one more pass for a fresh plan, is not needed
            sums = sums.copy()
            sums[self.low] = self.plan.weight_total - int(sums.sum())
        return float((sums * table.value).sum()) / 2.0 ** scale_bits(self.num_pixels)


def collect(levels: Levels, low: int, plan: Plan, *, half_up: bool) -> Statistic:
    """Take the statistic of a map whose shape is the plan's.

    Args:
        levels: (H, W) uint8.
        low: Its lowest level.
        plan: The mask's plan.
        half_up: Round the centroid half away from zero, as MATLAB does, instead of half to even.
    """
    split = plan.split(half_up)
    weights, foreground = fixed_weights(scale_bits(levels.size)), plan.quadrants[int(half_up)]
    counts, sums = kernels().joint_histogram(levels, plan.rank, weights, split, foreground, low)
    return Statistic(levels, plan, split, low, counts, sums)
