"""Measures of a binarised map, at all thresholds at once: E, Dice, IoU, precision, recall, specificity, F."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.backend import kernels
from benchmark.metrics.levels import LevelTable
from benchmark.metrics.protocol import Protocol
from benchmark.metrics.ratios import background_overlap, ratios
from benchmark.metrics.statistic import Statistic

MEASURES = ("em", "dice", "iou", "precision", "recall", "specificity", "f")
"""Names of the thresholded measures, in the order of the rows of an array of curves."""

NUM_LEVELS = 256
HALF, ADAPTIVE, EXPLICIT = NUM_LEVELS, NUM_LEVELS + 1, NUM_LEVELS + 2
"""Columns that follow the 256 levels: threshold 0.5, the adaptive threshold, the protocol's own list."""


def threshold_measures(
    stat: Statistic, table: LevelTable, mean: float, protocol: Protocol, *, empty: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return every thresholded measure at every threshold of interest, and the pixels counted there.

    Args:
        stat: The map's statistic.
        table: What its levels are worth.
        mean: The map's mean value.
        protocol: Decides on 0.5, explicit thresholds and quirks.
        empty: The mask has no foreground at its own size.
    Returns:
        (7, 258 + T) float64, rows as ``MEASURES``; columns: thresholds 255..0, 0.5, adaptive, T explicit ones.
        All in [0, 1], higher is better, but for E, whose denominator H W - 1 lets it go slightly above 1.
        And (2, 258 + T) int64, the true and false positives at these thresholds.
    """
    first = _fixed_levels(table, protocol.compare, protocol.thresholds).copy()
    first[ADAPTIVE] = _adaptive_level(stat, table, mean)
    measured = kernels().threshold_table(
        stat.counts, first, stat.plan.num_fg, stat.num_pixels, protocol.zero_tp, protocol.iou == "mean"
    )
    passed = np.zeros((2, NUM_LEVELS + 1), np.int64)
    passed[:, :NUM_LEVELS] = stat.counts.sum(axis=0)[::-1, ::-1].cumsum(axis=1)[:, ::-1]
    counts = passed[:, first]
    return follow(protocol, measured, counts, stat.plan.num_fg, stat.num_pixels, empty=empty), counts


def measures_of_counts(
    protocol: Protocol, counts: NDArray[np.int64], num_fg: int, num_pixels: int
) -> NDArray[np.float64]:
    """Return Dice, IoU, precision, recall, specificity and F of pixels counted over many images, (6, T).

    Args:
        protocol: Its rules on 0/0, background and empty masks.
        counts: (2, T) true and false positives at each threshold.
        num_fg: Foreground pixels of all masks.
        num_pixels: All pixels.
    """
    mean_iou = protocol.iou == "mean"
    tp, fp = counts
    six = ratios(tp, fp, num_fg, num_pixels, zero_tp=protocol.zero_tp, mean_iou=mean_iou)
    rows = np.vstack([np.zeros(len(six[0])), six])
    return follow(protocol, rows, counts, num_fg, num_pixels, empty=num_fg == 0)[1:]


def follow(
    protocol: Protocol,
    measured: NDArray[np.float64],
    counts: NDArray[np.int64],
    num_fg: int,
    num_pixels: int,
    *,
    empty: bool,
) -> NDArray[np.float64]:
    """Return the measures under a protocol's rules on empty masks and on the background's Dice."""
    agreed = empty and protocol.empty_mask == "one-if-empty"
    if not agreed and protocol.dice == "foreground":
        return measured
    tp, fp = counts
    if agreed:
        right = (tp + fp == 0).astype(np.float64)
        measured[[1, 2, 3, 4, 6]] = right
        if protocol.iou == "mean":
            measured[2] = (right + background_overlap(tp, fp, num_fg, num_pixels, twice=1)) / 2
    if protocol.dice == "mean":
        measured[1] = (measured[1] + background_overlap(tp, fp, num_fg, num_pixels, twice=2)) / 2
    return measured


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
