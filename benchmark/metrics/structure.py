"""S-measure and MAE from the moments of a map's levels."""

from __future__ import annotations

import math

import numpy as np

from benchmark.metrics.levels import LevelTable
from benchmark.metrics.ratios import EPS
from benchmark.metrics.statistic import Moments, Statistic


def mean_absolute_error(stat: Statistic, moments: Moments) -> float:
    """Return the mean over pixels of |value - mask|, in [0, 1], lower is better."""
    return moments.error / stat.num_pixels


def structure_measure(stat: Statistic, table: LevelTable, moments: Moments) -> float:
    """Return the S-measure with alpha 0.5, in [0, 1], higher is better.

    An empty mask scores 1 - mean(map), a full one mean(map). A quadrant without pixels (the centroid lies in
    the last row or column) has weight 0 and contributes 0; py_sod_metrics gives NaN there.

    Args:
        stat: The map's statistic.
        table: What its levels are worth.
        moments: Their moments.
    Source: Fan et al., ICCV 2017.
    """
    share = stat.plan.num_fg / stat.num_pixels
    if share in (0, 1):
        mean = moments.value / stat.num_pixels
        return mean if share else 1 - mean
    background, foreground = (_object(*part) for part in moments.classes)
    by_object = share * foreground + (1 - share) * background
    return max(0.0, 0.5 * by_object + 0.5 * _region(stat, table, moments))


def _object(n: float, mean: float, squares: float) -> float:
    """Return 2 m / (m^2 + 1 + s + eps), m and s the mean and standard deviation of n values."""
    std = math.sqrt(squares / (n - 1)) if n > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + std + EPS)


def _region(stat: Statistic, table: LevelTable, moments: Moments) -> float:
    """Return the four quadrants' similarities, weighted by area."""
    (height, width), (cy, cx) = stat.plan.shape, stat.split
    extents = ((cy, cx), (cy, width - cx), (height - cy, cx), (height - cy, width - cx))
    shares = [rows * cols / stat.num_pixels for rows, cols in extents[:3]]
    shares.append(1 - shares[0] - shares[1] - shares[2])
    total = 0.0
    for i, (rows, cols) in enumerate(extents):
        n, num_fg, num_levels, mean, squares, background, foreground = moments.quadrants[i]
        if n == 0:
            continue
        y = num_fg / n
        if num_levels == 1:
            level = int(stat.counts[i].sum(axis=0).argmax())
            score = _flat_similarity(float(table.value[level]), y, rows, cols, width)
        else:
            d = n - 1 + EPS
            cov = foreground * (1 - y) - background * y
            score = _similarity(mean, y, squares / d, num_fg * (1 - y) / d, cov / d)
        total += score * shares[i]
    return total


def _similarity(x: float, y: float, var_x: float, var_y: float, cov: float) -> float:
    """Return the structural similarity of one quadrant from means, variances and the covariance."""
    a, b = 4 * x * y * cov, (x * x + y * y) * (var_x + var_y)
    if a != 0:
        return a / (b + EPS)
    return 1.0 if b == 0 else 0.0


def _flat_similarity(value: float, y: float, rows: int, cols: int, width: int) -> float:
    """Return the similarity of a quadrant in which the map has a single value.

    Against a mask that varies it is 0. Against one that does not, it is 1 by the formula; but in the
    reference the rounding of the mean of equal numbers decides between 1 and 0. Numbers must agree, so the
    same mean is taken over an array of the same shape and stride.
    """
    if 0 < y < 1:
        return 0.0
    if value in (0.0, 1.0):
        return 1.0
    same = np.full((rows, width), value)[:, :cols]
    return 1.0 if float(np.mean(same)) == value else 0.0
