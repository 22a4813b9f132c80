"""Variance of a mean due to the choice of seeds: own, pooled over the models of a table, or between the two."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from benchmark.report.records.blocks import Floats

POOL_WEIGHT = 2
"""The pooled variance weighs as much as this many further seeds of each model."""
UNEQUAL = 0.1
"""Below this p-value of ``spread_test`` the pooled variance is not trusted where a model's own is more cautious."""


def spread_test(by_seed: Floats, *, paired: bool) -> Floats:
    """Test that all models spread alike over their seeds.

    Bartlett's statistic; its distribution for normal scores is drawn, since chi-square is far off for two or three
    seeds. Where seeds are paired, what moves all models alike is removed first.

    Args:
        by_seed: (..., M, S) mean scores of each model and seed.
        paired: Whether seed k stands for the same initial values in every model.
    Returns:
        (...) p-values; 1 where there is nothing to test.
    """
    num_models, num_seeds = by_seed.shape[-2:]
    if num_seeds < 2 or num_models < (3 if paired else 2):
        return np.ones(by_seed.shape[:-2])
    found = _bartlett(by_seed, paired)
    null = _null(num_models, num_seeds, paired)
    p: Floats = 1 - np.searchsorted(null, found, side="left") / len(null)
    return np.where(np.isnan(found), 1.0, p)


def _bartlett(by_seed: Floats, paired: bool) -> Floats:
    rest = by_seed - by_seed.mean(axis=-1, keepdims=True)
    if paired:
        rest = rest - rest.mean(axis=-2, keepdims=True)
    squares = (rest**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log(squares.mean(axis=-1)) - np.log(squares).mean(axis=-1)
    return found


@lru_cache(maxsize=16)
def _null(num_models: int, num_seeds: int, paired: bool) -> Floats:
    num = int(np.clip(1_000_000 // (num_models * num_seeds), 2_000, 20_000))
    return np.sort(_bartlett(np.random.default_rng(0).normal(size=(num, num_models, num_seeds)), paired))


def moderate(own: Floats, pooled: Floats, num_seeds: int) -> Floats:
    """Return a variance between a model's own and the pooled one: the more seeds, the nearer to its own."""
    d = num_seeds - 1
    return (POOL_WEIGHT * pooled + d * own) / (POOL_WEIGHT + d)


def moderate_df(num_own: int, num_seeds: int, pooled_df: Floats | float) -> Floats:
    """Return the degrees of freedom of ``moderate`` for a sum of ``num_own`` models' own variances."""
    return np.minimum(num_own * (num_seeds - 1) + POOL_WEIGHT, pooled_df)
