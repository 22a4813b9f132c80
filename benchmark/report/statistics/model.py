"""The one model of variance behind every interval and every test; README.md states it with its formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats as sps

from benchmark.report.records.blocks import Floats
from benchmark.report.statistics.fit import Fit
from benchmark.report.statistics.groups import robust_df, robust_variance
from benchmark.report.statistics.seeds import UNEQUAL, moderate, moderate_df

LEVEL = 0.95


@dataclass(frozen=True)
class Estimates:
    """Means or differences with what they can vary by; all arrays alike.

    Attributes:
        value: Point estimates.
        error: Standard errors. df: Their degrees of freedom.
        image_var, seed_var: The two parts of the squared error.
        rest_var: What the rest adds to ``image_var``.
        whole_seed_var, seed_df: The seeds' part before the rest was taken off it, and its degrees of freedom.
        low, high: Ends of the 95 % interval; NaN where none can be given.
        p: p-values that the value is 0.
    """

    value: Floats
    error: Floats
    df: Floats
    image_var: Floats
    seed_var: Floats
    rest_var: Floats
    whole_seed_var: Floats
    seed_df: Floats
    low: Floats
    high: Floats
    p: Floats


def means(fit: Fit, *, level: float = LEVEL, of_differences: bool = False) -> Estimates:
    """Return the mean of every model, (..., M); intervals of shares end at 0 and 1, or at -1 and 1 for differences."""
    image = robust_variance(fit.by_group, fit.sizes)
    own = _own(fit)
    pooled, df = _pooled(fit)
    seed = _SeedPart(own[..., None], np.where(fit.trained, pooled[..., None], 0), df[..., None], fit.trained)
    ends = (-1.0, 1.0) if of_differences else (0.0, 1.0)
    share = fit.share | of_differences
    return _estimate(fit, fit.mean, image, seed, _noise(fit, paired=False), ends, share, level)


def differences(fit: Fit, reference: int, *, level: float = LEVEL) -> Estimates:
    """Return every model's mean less the reference's, (..., M); its own entry is 0 with p = 1.

    Images are paired. So are seeds where ``fit.paired``. Intervals end at -1 and 1 where all scores of both lie in
    0..1.
    """
    value = fit.mean - fit.mean[..., [reference]]
    image = robust_variance(fit.by_group - fit.by_group[..., [reference], :], fit.sizes)
    share = fit.share & fit.share[..., [reference]]
    seed, noise = _seeds_of_differences(fit, reference)
    return _estimate(fit, value, image, seed, noise, (-1.0, 1.0), share, level)


@dataclass(frozen=True)
class _SeedPart:
    """Variance over seeds (not yet divided by their number): own (..., M, K) of K models, pooled, and who has it."""

    own: Floats
    pooled: Floats
    pooled_df: Floats
    num_own: npt.NDArray[np.int64] | npt.NDArray[np.bool_]


def _own(fit: Fit) -> Floats:
    """Each model's variance over its seeds, (..., M); 0 for one seed and for fixed maps."""
    if fit.num_seeds < 2:
        return np.zeros(fit.mean.shape)
    return np.where(fit.trained, fit.by_seed.var(axis=-1, ddof=1), 0.0)


def _pooled(fit: Fit) -> tuple[Floats, Floats]:
    """Mean of the models' own variances and its degrees of freedom, each (...).

    Where seeds are paired, what moves all models alike counts once only.
    """
    k, d = fit.num_trained, fit.num_seeds - 1
    if k == 0 or d == 0:
        nothing = np.zeros(fit.mean.shape[:-1])
        return nothing, nothing + 1
    pooled = _own(fit)[..., fit.trained].mean(axis=-1)
    if not fit.paired or k == 1:
        return pooled, np.full(pooled.shape, float(k * d))
    by_seed = fit.by_seed[..., fit.trained, :]
    common = by_seed.mean(axis=-2).var(axis=-1, ddof=1)  # of the models' mean: the shared part, and a k-th of the own
    below = common**2 / d + np.maximum(pooled - common, 0) ** 2 / ((k - 1) * d)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(below > 0, pooled**2 / below, float(k * d))
    return pooled, df


def _seeds_of_differences(fit: Fit, reference: int) -> tuple[_SeedPart, Floats]:
    """Return the seeds' part of every model's difference from the reference, and the rest's share in it."""
    own = _own(fit)
    trained = fit.trained
    both = trained & trained[reference]
    num_own = trained.astype(int) + int(trained[reference])
    pooled, df = _pooled(fit)
    sides = np.stack([own, np.broadcast_to(own[..., [reference]], own.shape)], axis=-1)
    part = pooled[..., None] * num_own
    noise = _noise(fit, paired=False)[..., None] * num_own
    df = np.broadcast_to(df[..., None], own.shape)
    if fit.paired and fit.num_seeds > 1 and fit.num_trained > 1:
        apart = (fit.by_seed - fit.by_seed[..., [reference], :]).var(axis=-1, ddof=1)
        sides = np.where(both[:, None], np.stack([apart, np.zeros_like(apart)], axis=-1), sides)
        num_own = np.where(both, 1, num_own)
        k = fit.num_trained
        centred = fit.by_seed[..., trained, :]
        centred = centred - centred.mean(axis=-1, keepdims=True)
        centred = centred - centred.mean(axis=-2, keepdims=True)
        mean_sq = (centred**2).sum(axis=(-2, -1)) / ((k - 1) * (fit.num_seeds - 1))
        part = np.where(both, 2 * mean_sq[..., None], part)
        noise = np.where(both, 2 * _noise(fit, paired=True)[..., None], noise)
        df = np.where(both, float((k - 1) * (fit.num_seeds - 1)), df)
    return _SeedPart(sides, part, df, num_own), noise


def _noise(fit: Fit, *, paired: bool) -> Floats:
    """Variance of one seed's mean that is due to the rest, mean over the trained models, (...)."""
    k, d = fit.num_trained, fit.num_seeds - 1
    if k == 0 or d == 0 or len(fit.sizes) < 2:
        return np.zeros(fit.mean.shape[:-1])
    rest = fit.rest[..., fit.trained, :, :]
    factor = 1.0
    if paired:
        rest, factor = rest - rest.mean(axis=-3, keepdims=True), k / (k - 1)
    found: Floats = factor * robust_variance(rest, fit.sizes).sum(axis=-1).mean(axis=-1) / d
    return found


def _estimate(
    fit: Fit,
    value: Floats,
    image: Floats,
    seed: _SeedPart,
    noise: Floats,
    ends: tuple[float, float],
    share: npt.NDArray[np.bool_],
    level: float,
) -> Estimates:
    """Join the two parts of the variance; where spreads are unequal, take the more cautious of pooled and own."""
    noise = noise[..., None] if noise.ndim < value.ndim else noise
    s = fit.num_seeds
    total = seed.own.sum(axis=-1)
    pooled_df = np.maximum(_moderate_df(seed, s), 1.0)
    pooled = _join(value, image, moderate(total, seed.pooled, s), pooled_df, noise, fit, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        own_df = total**2 / (seed.own**2 / max(s - 1, 1)).sum(axis=-1)
    apart = _join(value, image, total, np.where(total > 0, own_df, 1.0), noise, fit, level)
    unequal = np.broadcast_to((fit.equal < UNEQUAL)[..., None], value.shape)
    pick = unequal & (apart.half >= pooled.half)
    half = np.where(pick, apart.half, pooled.half)
    p = np.where(unequal, np.maximum(apart.p, pooled.p), pooled.p)
    low, high = value - half, value + half
    low = np.where(share, np.maximum(low, np.minimum(ends[0], value)), low)
    high = np.where(share, np.minimum(high, np.maximum(ends[1], value)), high)

    def picked(name: str) -> Floats:
        return np.where(pick, getattr(apart, name), getattr(pooled, name))

    return Estimates(
        value=value,
        error=np.sqrt(image + picked("seed_var")),
        df=picked("df"),
        image_var=image,
        seed_var=picked("seed_var"),
        rest_var=np.broadcast_to(noise / s, value.shape),
        whole_seed_var=picked("whole_seed_var"),
        seed_df=picked("seed_df"),
        low=low,
        high=high,
        p=p,
    )


def _moderate_df(seed: _SeedPart, num_seeds: int) -> Floats:
    """Degrees of freedom of the moderated variance of every row."""
    one, two = (moderate_df(k, num_seeds, seed.pooled_df) for k in (1, 2))
    return np.where(np.equal(seed.num_own, 2), two, one)


@dataclass(frozen=True)
class _Joined:
    seed_var: Floats
    whole_seed_var: Floats
    seed_df: Floats
    df: Floats
    half: Floats
    p: Floats


def joint_df(image: Floats, image_df: Floats | float, seeds: Floats, whole_seeds: Floats, seeds_df: Floats) -> Floats:
    """Return Satterthwaite's degrees of freedom of the images' and the seeds' variance together.

    They are counted as if the rest had not been taken off the seeds' variance (``whole_seeds``): where little is left,
    it is by chance. They are no fewer than those of either part.
    """
    total = image + seeds
    with np.errstate(divide="ignore", invalid="ignore"):
        df = total**2 / (image**2 / image_df + whole_seeds**2 / seeds_df)
    least: Floats = np.maximum(np.where(total > 0, df, 0), np.minimum(seeds_df, image_df))
    return least


def _join(
    value: Floats, image: Floats, seeds: Floats, seeds_df: Floats, noise: Floats, fit: Fit, level: float
) -> _Joined:
    """Add the images' variance and the seeds' (not yet divided by their number), and take the rest off the latter."""
    whole = seeds / fit.num_seeds
    seed_var = np.maximum(seeds - noise, 0) / fit.num_seeds
    total = image + seed_var
    df = joint_df(image, robust_df(fit.sizes), seed_var, whole, seeds_df)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.sqrt(total) * sps.t.isf((1 - level) / 2, df)
        t = np.abs(value) / np.sqrt(total)
        p = np.where(total > 0, 2 * sps.t.sf(t, df), np.where(value == 0, 1.0, 0.0))
    return _Joined(
        seed_var, whole, np.broadcast_to(seeds_df, value.shape), df, half, np.where(np.isfinite(total), p, np.nan)
    )
