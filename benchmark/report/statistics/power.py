"""The smallest difference that a design can detect."""

from __future__ import annotations

import numpy as np
from scipy import optimize, special
from scipy import stats as sps

from benchmark.report.statistics.fit import Fit
from benchmark.report.statistics.groups import robust_df
from benchmark.report.statistics.model import Estimates, joint_df
from benchmark.report.statistics.seeds import moderate_df

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

    The images are the same, and so are the variances found of images, seeds and rest; the last two fall with the number
    of seeds. For the number there is, the answer is that of ``found``. NaN where one seed shows no spread. With few
    groups of images more seeds may detect less: the error falls, but so do its degrees of freedom, to the images'.
    """
    if fit.num_seeds < 2:
        return float("nan"), float("nan")
    ratio = fit.num_seeds / num_seeds
    rest = found.rest_var[row]
    image = np.maximum(found.image_var[row] - rest, 0) + np.minimum(rest, found.image_var[row]) * ratio
    seeds, whole = found.seed_var[row] * ratio, found.whole_seed_var[row] * ratio
    sides = int(fit.trained[row]) + int(fit.trained[reference])
    more = _structural_df(fit, sides, num_seeds) / _structural_df(fit, sides, fit.num_seeds)
    df = joint_df(image, robust_df(fit.sizes), seeds, whole, found.seed_df[row] * more)
    return float(np.sqrt(image + seeds)), float(df)


def _structural_df(fit: Fit, sides: int, num_seeds: int) -> float:
    """Degrees of freedom of the moderated variance of a difference, by the numbers of models and seeds alone."""
    d = num_seeds - 1
    both_paired = fit.paired and sides == 2
    pooled_df = float((fit.num_trained - 1) * d if both_paired else fit.num_trained * d)
    return max(float(moderate_df(1 if both_paired else sides, num_seeds, pooled_df)), 1.0)
