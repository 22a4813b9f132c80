"""S-measure and MAE from the joint counts of a map and a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.curves import EPS
from benchmark.metrics.levels import LevelTable
from benchmark.metrics.plans import Plan
from benchmark.metrics.statistic import Statistic

Values = NDArray[np.float64]


def mean_absolute_error(stat: Statistic, table: LevelTable) -> float:
    """Return the mean over pixels of |value - mask|, in [0, 1], lower is better."""
    background, foreground = stat.counts.sum(axis=0)
    total = (background * table.value).sum() + (foreground * (1 - table.value)).sum()
    return float(total / stat.num_pixels)


def structure_measure(stat: Statistic, table: LevelTable, plan: Plan, *, half_up: bool) -> float:
    """Return the S-measure with alpha 0.5, in [0, 1], higher is better.

    An empty mask scores 1 - mean(map), a full one mean(map). A quadrant without pixels (the centroid lies in
    the last row or column) has weight 0 and contributes 0; py_sod_metrics gives NaN there.

    Args:
        stat: The map's statistic, taken with the same ``half_up``.
        table: What its levels are worth.
        plan: The mask's plan.
        half_up: How the centroid is rounded.
    Source: Fan et al., ICCV 2017.
    """
    background, foreground = stat.counts.sum(axis=0)
    num_pixels, share = stat.num_pixels, plan.num_fg / stat.num_pixels
    if share in (0, 1):
        mean = float(((background + foreground) * table.value).sum() / num_pixels)
        return mean if share else 1 - mean
    by_object = share * _object(foreground, table.value) + (1 - share) * _object(background, 1 - table.value)
    return max(0.0, 0.5 * by_object + 0.5 * _region(stat, table.value, plan, half_up))


def _object(counts: NDArray[np.int64], value: Values) -> float:
    """Return 2 m / (m^2 + 1 + s + eps), m and s the mean and standard deviation over the counted pixels."""
    n = int(counts.sum())
    mean = float((counts * value).sum()) / n
    std = float(np.sqrt((counts * (value - mean) ** 2).sum() / (n - 1))) if n > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + std + EPS)


def _region(stat: Statistic, value: Values, plan: Plan, half_up: bool) -> float:
    """Return the four quadrants' similarities, weighted by area."""
    height, width = plan.shape
    cy, cx = plan.split(half_up)
    both = stat.counts.sum(axis=1)  # (4, 256)
    n = both.sum(axis=1)
    shares = [cx * cy / stat.num_pixels, cy * (width - cx) / stat.num_pixels, (height - cy) * cx / stat.num_pixels]
    shares.append(1 - shares[0] - shares[1] - shares[2])
    safe = np.maximum(n, 1)
    x, y = (both * value).sum(axis=1) / safe, plan.quadrants[int(half_up)] / safe
    spread = value - x[:, None]
    var_x = (both * spread**2).sum(axis=1)
    products = (stat.counts * spread[:, None]).sum(axis=2)  # (4, 2): background, foreground
    cov = products[:, 1] * (1 - y) - products[:, 0] * y
    var_y = n * y * (1 - y)
    levels_used = np.count_nonzero(both, axis=1)
    total = 0.0
    for i in range(4):
        if n[i] == 0:
            continue
        if levels_used[i] == 1:
            rows, cols = (cy, height - cy)[i // 2], (cx, width - cx)[i % 2]
            score = _flat_similarity(float(value[both[i].argmax()]), float(y[i]), rows, cols, width)
        else:
            d = n[i] - 1 + EPS
            score = _similarity(float(x[i]), float(y[i]), var_x[i] / d, var_y[i] / d, cov[i] / d)
        total += score * shares[i]
    return total


def _similarity(x: float, y: float, var_x: float, var_y: float, cov: float) -> float:
    """Return the structural similarity of one quadrant from means, variances and the covariance."""
    a, b = 4 * x * y * cov, (x**2 + y**2) * (var_x + var_y)
    if a != 0:
        return float(a / (b + EPS))
    return 1.0 if b == 0 else 0.0


def _flat_similarity(value: float, y: float, rows: int, cols: int, width: int) -> float:
    """Return the similarity of a quadrant in which the map has a single value.

    Against a mask that varies it is 0. Against one that does not, it is 1 by the formula; but in the
    reference the rounding of the mean of equal numbers decides between 1 and 0. Numbers must agree, so the
    same mean is taken over an array of the same shape and stride.
    """
    if 0 < y < 1:
        return 0.0
    same = np.full((rows, width), value)[:, :cols]
    return 1.0 if float(np.mean(same)) == value else 0.0
