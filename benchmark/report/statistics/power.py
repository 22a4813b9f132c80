"""The smallest difference that a design can detect."""

from __future__ import annotations

import numpy as np
from scipy import optimize, special
from scipy import stats as sps

from benchmark.report.statistics.groups import robust_df
from benchmark.report.statistics.model import Estimates, Fit
from benchmark.report.statistics.seeds import POOL_WEIGHT

POWER = 0.8
ALPHA = 0.05
_NODES = 4000


def detectable(error: float, df: float, *, alpha: float, power: float = POWER) -> float:
    """Return the true difference that a two-sided t-test finds with this power.

    Args:
        error: Standard error of the difference. df: Its degrees of freedom.
        alpha: Level of the single test, after the correction for several.
    Source: the noncentral t distribution, integrated over the estimated error, since scipy's own fails for few degrees
    of freedom; statsmodels' TTestPower solves the same (tests).
    """
    if not (np.isfinite(error) and error > 0 and df > 0):
        return float("nan")
    critical = float(sps.t.isf(alpha / 2, df))
    nodes = np.sqrt(sps.chi2.ppf((np.arange(_NODES) + 0.5) / _NODES, df) / df)  # of the estimated error over the true

    def missing(shift: float) -> float:
        beyond = special.ndtr(shift - critical * nodes) + special.ndtr(-shift - critical * nodes)
        return float(beyond.mean()) - power

    above = critical + 10.0
    while missing(above) < 0:
        above *= 2
    return error * float(optimize.brentq(missing, 0.0, above, xtol=1e-6))


def with_seeds(found: Estimates, fit: Fit, row: int, reference: int, num_seeds: int) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a difference, had every model been trained with other seeds.

    The variances are the ones found; the images are the same. The rest, which falls with seeds too, is left in the
    images' part, so the error is no smaller than it would be.
    """
    if num_seeds == fit.num_seeds:
        return float(found.error[row]), float(found.df[row])
    image, seed = float(found.image_var[row]), float(found.seed_var[row]) * fit.num_seeds / num_seeds
    sides = int(fit.trained[row]) + int(fit.trained[reference])
    d = num_seeds - 1
    both_paired = fit.paired and sides == 2
    pooled_df = (fit.num_trained - 1) * d if both_paired else fit.num_trained * d
    seed_df = max(min((1 if both_paired else sides) * d + POOL_WEIGHT, pooled_df), 1)
    total = image + seed
    below = image**2 / robust_df(fit.sizes) + seed**2 / seed_df
    return float(np.sqrt(total)), (total**2 / below if below > 0 else float("nan"))
