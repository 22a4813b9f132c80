"""Weighted F-measure, beta^2 = 1."""

from __future__ import annotations

from benchmark.metrics.backend import kernels
from benchmark.metrics.levels import LevelTable
from benchmark.metrics.ratios import EPS
from benchmark.metrics.statistic import Statistic
from benchmark.metrics.weights import taps


def weighted_f(stat: Statistic, table: LevelTable) -> float:
    """Return the weighted F-measure, in [0, 1], higher is better; 0 for an empty mask.

    Errors inside the foreground may be forgiven if their surroundings (7 x 7 Gaussian, sigma 5; background
    pixels stand for their nearest foreground pixel) are better; errors outside weigh 2 - 0.5^(D/5), D the
    distance in pixels to the foreground.

    Args:
        stat: The map's statistic.
        table: What its levels are worth.
    Source: Margolin et al., CVPR 2014.
    """
    plan = stat.plan
    if plan.num_fg == 0:
        return 0.0
    errors = kernels().foreground_errors(
        stat.levels, 1 - table.value, plan.rank, plan.box, (plan.ring_at, plan.ring_from), taps()
    )
    missed = float(errors.sum())
    true, false = plan.num_fg - missed, stat.weighted_background(table)
    recall = 1 - missed / plan.num_fg
    precision = true / (true + false + EPS)
    return float(2 * recall * precision / (recall + precision + EPS))
