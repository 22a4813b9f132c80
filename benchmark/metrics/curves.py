"""Measures of a binarised map, at all thresholds at once: E, Dice, IoU, precision, recall, specificity, F."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.backend import kernels
from benchmark.metrics.levels import LevelTable
from benchmark.metrics.protocol import Protocol
from benchmark.metrics.statistic import Statistic

MEASURES = ("em", "dice", "iou", "precision", "recall", "specificity", "f")
"""Names of the thresholded measures, in the order of the rows of an array of curves."""

NUM_LEVELS = 256
HALF, ADAPTIVE, EXPLICIT = NUM_LEVELS, NUM_LEVELS + 1, NUM_LEVELS + 2
"""Columns that follow the 256 levels: threshold 0.5, the adaptive threshold, the protocol's own list."""


def threshold_measures(stat: Statistic, table: LevelTable, mean: float, protocol: Protocol) -> NDArray[np.float64]:
    """Return every thresholded measure at every threshold of interest.

    Args:
        stat: The map's statistic.
        table: What its levels are worth.
        mean: The map's mean value.
        protocol: Decides on 0.5, explicit thresholds and quirks.
    Returns:
        (7, 258 + T) float64, rows as ``MEASURES``; columns: thresholds 255..0, 0.5, adaptive, T explicit ones.
        All in [0, 1], higher is better, but for E, whose denominator H W - 1 lets it go slightly above 1.
    """
    first = _fixed_levels(table, protocol.compare, protocol.thresholds).copy()
    first[ADAPTIVE] = _adaptive_level(stat, table, mean)
    return kernels().threshold_table(
        stat.counts, first, stat.plan.num_fg, stat.num_pixels, protocol.zero_tp, protocol.iou == "mean"
    )


def threshold_counts(stat: Statistic, table: LevelTable) -> NDArray[np.int64]:
    """Return (2, 256) pixels that pass each threshold, 255 first: true positives, false positives."""
    passed = np.zeros((2, NUM_LEVELS + 1), np.int64)
    passed[:, :NUM_LEVELS] = stat.counts.sum(axis=0)[::-1, ::-1].cumsum(axis=1)[:, ::-1]
    return passed[:, table.first]


@lru_cache(maxsize=256)
def _fixed_levels(table: LevelTable, compare: str, thresholds: str | tuple[float, ...]) -> NDArray[np.int64]:
    """Return the lowest level that passes each threshold but the adaptive one, 256 where none does."""
    single = (0.5, 0.0, *(() if isinstance(thresholds, str) else thresholds))
    return np.concatenate([table.first, [table.first_from(t, compare) for t in single]])


def _adaptive_level(stat: Statistic, table: LevelTable, mean: float) -> int:
    """Return the lowest level that passes twice the map's mean (at most 1).

    Where that meets a level's value up to rounding, the order of summation decides which pixels pass; then the
    mean is taken over pixels in numpy's order, as the reference does.
    """
    level = table.first_from(min(2 * mean, 1.0), ">=")
    beside = table.value[max(level - 1, 0) : level + 1]
    if any(abs(value - 2 * mean) < 1e-9 for value in beside.tolist()):
        mean = float(np.mean(table.value[stat.levels]))
        level = table.first_from(min(2 * mean, 1.0), ">=")
    return level
