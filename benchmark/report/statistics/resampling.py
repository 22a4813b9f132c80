"""How sure a mean is: bootstrap intervals over groups and seeds, and paired comparisons.

One model of chance serves all of it. The score of image i (in group g) under seed s is mean + group + image + seed +
remainder. A mean over images and seeds then has three sources of variance: which groups were photographed, which
seeds were drawn, and the remainder, which averages out over both. The seeds of two models are drawn apart; the
images are the same, so the groups' part of a difference is that of the per-image differences.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import stats as sps

from benchmark.report.records.blocks import Block, Floats

if TYPE_CHECKING:
    import pandas as pd

FEW_GROUPS = 10
_NUM_RESAMPLES = 10_000
_SLACK = 1e-3
"""E exceeds 1 by less than this."""


@dataclass(frozen=True)
class Parts:
    """Variances of a block's model means and the resampled deviations from them.

    Attributes:
        means: (M,) means over seeds and images.
        group_sums: (M, G) sums over each group of the images' means over seeds, less the model's mean.
        seed_var: (M,) variance of the mean that is due to seeds; 0 with one seed.
        group_dev: (R, M) deviations of the mean when groups are drawn again.
        seed_dev: (R, M) deviations when seeds are drawn again, each model for itself.
        shares: (M,) whether the scores are shares of 1: no mean lies outside 0..1, no difference outside -1..1.
    """

    means: Floats
    group_sums: Floats
    seed_var: Floats
    group_dev: Floats
    seed_dev: Floats
    num_images: int
    num_groups: int
    num_seeds: int
    shares: npt.NDArray[np.bool_]


def resample(block: Block, *, num_resamples: int = _NUM_RESAMPLES, seed: int = 0) -> Parts:
    """Draw groups and seeds with replacement.

    The groups of one draw are the same for all models, so differences stay paired. Deviations carry the factor
    sqrt(k / (k - 1)) that makes their variance unbiased for k groups or seeds, and those of the seeds are shrunk to
    the variance that is due to seeds alone, since the remainder is in the groups' part already.

    Args:
        block: Scores of M models. A name may stand there several times, for several measures of one model: its seeds
            are drawn alike.
        num_resamples: R.
        seed: With the names of test set and model, the only source of randomness.
    """
    num_models, num_seeds, n = block.scores.shape
    sizes = np.bincount(block.groups, minlength=block.num_groups).astype(float)
    means = block.scores.mean(axis=(1, 2))
    group_sums = _sum_by_group(block.scores.mean(axis=1) - means[:, None], block.groups)
    seed_var, raw_var = _seed_variance(block)
    group_dev = np.zeros((num_resamples, num_models))
    g = block.num_groups
    if g > 1:
        counts = _group_draws(seed, block.dataset, g, num_resamples)
        group_dev = np.sqrt(g / (g - 1)) * (counts @ group_sums.T) / (counts @ sizes)[:, None]
    seed_dev = np.zeros((num_resamples, num_models))
    if num_seeds > 1:
        by_seed = block.scores.mean(axis=2) - means[:, None]
        shrink = np.sqrt(np.divide(seed_var, raw_var, out=np.zeros_like(seed_var), where=raw_var > 0))
        chances = np.full(num_seeds, 1 / num_seeds)
        for m, model in enumerate(block.models):
            drawn = _rng(seed, block.dataset, model).multinomial(num_seeds, chances, size=num_resamples)
            seed_dev[:, m] = np.sqrt(num_seeds / (num_seeds - 1)) * shrink[m] * (drawn @ by_seed[m]) / num_seeds
    shares = np.all((block.scores > -_SLACK) & (block.scores < 1 + _SLACK), axis=(1, 2))
    return Parts(means, group_sums, seed_var, group_dev, seed_dev, n, g, num_seeds, shares)


def mean_intervals(
    blocks: Sequence[Block], *, level: float = 0.95, num_resamples: int = _NUM_RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Interval of each model's mean on each test set.

    Percentile interval of the resampled means, widened by t / z with Satterthwaite's degrees of freedom, since a
    plain percentile interval is too short for few groups or seeds; cut at 0 and 1 where all scores lie between.

    Returns:
        Columns dataset, model, mean, std (over seeds, N - 1), low, high, n, num_groups, num_seeds, note.
    """
    import pandas as pd

    rows = []
    for block in blocks:
        parts = resample(block, num_resamples=num_resamples, seed=seed)
        for m, model in enumerate(block.models):
            by_seed = block.scores[m].mean(axis=1)
            std = by_seed.std(ddof=1) if parts.num_seeds > 1 else np.nan
            low, high = interval(parts, m, level=level)
            rows.append(
                {"dataset": block.dataset, "model": model, "mean": parts.means[m], "std": std, "low": low, "high": high}
                | _sizes(parts)
            )
    return pd.DataFrame(rows)


def interval(parts: Parts, m: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of the interval of one mean; NaN with one group of images.

    A share's interval is cut at 0 and 1: with few groups or seeds Student's t alone would lead beyond.
    """
    group_var = _group_variance(parts.group_sums[m], parts)
    df = _satterthwaite([group_var, parts.seed_var[m]], [parts.num_groups - 1, parts.num_seeds - 1])
    low, high = _interval(parts.group_dev[:, m] + parts.seed_dev[:, m], df, level)
    mean = float(parts.means[m])
    return _within(mean + low, mean + high, 0.0, mean) if parts.shares[m] else (mean + low, mean + high)


def paired_comparisons(
    blocks: Sequence[Block],
    *,
    reference: str,
    level: float = 0.95,
    num_resamples: int = _NUM_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every model with ``reference`` by per-image differences, Holm-corrected over the whole table.

    The interval is a bootstrap as in ``mean_intervals``. The p-value is that of t = difference / standard error,
    the standard error robust to groups and with the seeds' part of both models, Satterthwaite's degrees of freedom.
    With one seed and no groups it is Student's paired t-test. Intervals are cut at -1 and 1 where all scores of both
    models lie in 0..1.

    Returns:
        Columns dataset, model, reference, difference (model less reference), low, high, t, df, p, p_holm, n,
        num_groups, num_seeds, note. Empty when there is no other model.
    Raises:
        BenchError: The reference is unknown.
    """
    import pandas as pd

    rows = []
    for block in blocks:
        ref = block.index(reference)
        parts = resample(block, num_resamples=num_resamples, seed=seed)
        for m, model in enumerate(block.models):
            if m != ref:
                found = compare(parts, m, parts, ref, level=level)
                rows.append(asdict(found) | _sizes(parts) | {"dataset": block.dataset, "model": model})
    columns = ["dataset", "model", "reference", "difference", "low", "high", "t", "df", "p", "p_holm"]
    columns += ["n", "num_groups", "num_seeds", "note"]
    table = pd.DataFrame(rows, columns=columns).assign(reference=reference)
    return table.assign(p_holm=holm(table["p"].to_numpy(dtype=float)))


@dataclass(frozen=True)
class Comparison:
    """One mean less another: the difference with its interval, and the test that it is 0."""

    difference: float
    low: float
    high: float
    t: float
    df: float
    p: float


def compare(parts: Parts, m: int, others: Parts, ref: int, *, level: float = 0.95) -> Comparison:
    """Compare two means over the same images and groups, drawn with the same seed; their numbers of seeds may differ.

    With one seed on a side, how much another training of that side would differ is not in the result. The interval is
    cut at -1 and 1 where all scores of both lie in 0..1.
    """
    group_var = _group_variance(parts.group_sums[m] - others.group_sums[ref], parts)
    variances = [group_var, parts.seed_var[m], others.seed_var[ref]]
    df = _satterthwaite(variances, [parts.num_groups - 1, parts.num_seeds - 1, others.num_seeds - 1])
    difference = float(parts.means[m] - others.means[ref])
    dev = (parts.group_dev[:, m] - others.group_dev[:, ref]) + (parts.seed_dev[:, m] - others.seed_dev[:, ref])
    low, high = _interval(dev, df, level)
    t, p = _t_test(difference, float(np.sqrt(sum(variances))), df)
    ends = difference + low, difference + high
    if parts.shares[m] and others.shares[ref]:
        ends = _within(*ends, -1.0, difference)
    return Comparison(difference, ends[0], ends[1], t, df, p)


def _within(low: float, high: float, least: float, value: float) -> tuple[float, float]:
    """Cut an interval at ``least`` and 1; it keeps ``value`` also where rounding led that beyond. NaN stays."""
    return float(np.maximum(low, min(least, value))), float(np.minimum(high, max(1.0, value)))


def holm(p: npt.ArrayLike) -> Floats:
    """Return Holm's step-down adjusted p-values, in the order given; NaN stays NaN and is not counted."""
    values = np.asarray(p, dtype=float)
    adjusted = np.full(values.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted


def _rng(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on the names alone, so that leaving a model or set out changes no other."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


@lru_cache(maxsize=1)
def _group_draws(seed: int, dataset: str, num_groups: int, num_resamples: int) -> Floats:
    """How often each group is drawn: (R, G), each row sums to G. Kept, since every row of a table needs the same."""
    rng = _rng(seed, dataset)
    counts = np.empty((num_resamples, num_groups))
    for start in range(0, num_resamples, 1000):
        rows = min(1000, num_resamples - start)
        drawn = rng.integers(0, num_groups, size=(rows, num_groups)) + num_groups * np.arange(rows)[:, None]
        counts[start : start + rows] = np.bincount(drawn.ravel(), minlength=rows * num_groups).reshape(rows, num_groups)
    return counts


def _sum_by_group(values: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """Sum (K, n) values by group: (K, G)."""
    num_groups = int(groups.max()) + 1
    return np.stack([np.bincount(groups, weights=row, minlength=num_groups) for row in values])


def _group_variance(sums: Floats, parts: Parts) -> float:
    """Variance of a mean over images that come in groups, from the groups' sums of deviations."""
    g = parts.num_groups
    return float(g / (g - 1) * (sums**2).sum() / parts.num_images**2) if g > 1 else float("nan")


def _seed_variance(block: Block) -> tuple[Floats, Floats]:
    """Return (M,) variances of the mean due to seeds: net of the remainder (not below 0), and with it."""
    num_models, num_seeds, n = block.scores.shape
    if num_seeds < 2:
        return np.zeros(num_models), np.zeros(num_models)
    by_seed = block.scores.mean(axis=2)
    raw = by_seed.var(axis=1, ddof=1) / num_seeds
    if block.num_groups < 2:
        return raw, raw
    by_image = block.scores.mean(axis=1, keepdims=True)
    rest = block.scores - by_image - by_seed[:, :, None] + by_seed.mean(axis=1)[:, None, None]
    g = block.num_groups
    sums = np.stack([_sum_by_group(rest[m], block.groups) for m in range(num_models)])  # (M, S, G)
    noise = g / ((g - 1) * (num_seeds - 1)) * (sums**2).sum(axis=(1, 2)) / n**2
    return np.maximum(0.0, raw - noise / num_seeds), raw


def _satterthwaite(variances: Sequence[float], dfs: Sequence[int]) -> float:
    total = float(sum(variances))
    if not np.isfinite(total):
        return float("nan")
    below = sum(v**2 / df for v, df in zip(variances, dfs, strict=True) if v > 0)
    return total**2 / below if below > 0 else float(max(dfs[0], 1))


def _interval(dev: Floats, df: float, level: float) -> tuple[float, float]:
    """Percentile interval of deviations, widened by t / z; NaN without degrees of freedom."""
    if not np.isfinite(df):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    widen = float(sps.t.ppf(1 - tail, df) / sps.norm.ppf(1 - tail))
    low, high = np.quantile(dev, [tail, 1 - tail])
    return float(widen * low), float(widen * high)


def _t_test(difference: float, error: float, df: float) -> tuple[float, float]:
    if not np.isfinite(error):
        return float("nan"), float("nan")
    if error == 0:
        return (0.0, 1.0) if difference == 0 else (float(np.copysign(np.inf, difference)), 0.0)
    t = difference / error
    return t, float(2 * sps.t.sf(abs(t), df))


def _sizes(parts: Parts) -> dict[str, object]:
    numbers = {"n": parts.num_images, "num_groups": parts.num_groups, "num_seeds": parts.num_seeds}
    return {**numbers, "note": caution(parts)}


def caution(parts: Parts) -> str:
    """Return why not to lean on an interval of these data; empty if nothing stands against it."""
    notes = []
    if parts.num_groups < 2:
        notes.append("one group of images: no interval can be given")
    elif parts.num_groups < FEW_GROUPS:
        notes.append(f"{parts.num_groups} groups of images only: take the interval as a rough guide")
    if parts.num_seeds == 1:
        notes.append("one seed: how much another training would differ is not in the interval")
    elif parts.num_seeds == 2:
        notes.append(
            "two seeds only: a wide interval may tell of them more than of the models, a narrow one of two alike"
        )
    return "; ".join(notes)
