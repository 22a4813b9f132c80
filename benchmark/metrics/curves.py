"""Measures of a binarised map, at all thresholds at once: E, Dice, IoU, precision, recall, specificity, F."""

from __future__ import annotations

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
    first = _first_levels(stat, table, mean, protocol)
    return kernels().threshold_table(stat.counts, first, stat.plan.num_fg, protocol.zero_tp, protocol.iou == "mean")


def _first_levels(stat: Statistic, table: LevelTable, mean: float, protocol: Protocol) -> NDArray[np.int64]:
    """Return the lowest level that passes each threshold of interest, 256 where none does."""
    explicit = () if protocol.thresholds == "all" else protocol.thresholds
    first = np.empty(EXPLICIT + len(explicit), np.int64)
    first[:NUM_LEVELS] = table.first
    first[HALF] = table.first_from(0.5, protocol.compare)
    first[ADAPTIVE] = _adaptive_level(stat, table, mean)
    for i, threshold in enumerate(explicit):
        first[EXPLICIT + i] = table.first_from(threshold, protocol.compare)
    return first


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
