"""The sums over images, groups and seeds from which every variance follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.report.records.blocks import Block, Floats
from benchmark.report.statistics.groups import sum_by_group
from benchmark.report.statistics.seeds import spread_test

_SLACK = 1e-3
"""E exceeds 1 by less than this."""


@dataclass(frozen=True)
class Fit:
    """What the scores of M models on one test set say of their means; leading axes are further measures or trials.

    Attributes:
        mean: (..., M).
        by_seed: (..., M, S) mean over the images.
        by_group: (..., M, G) sums over each group of the images' means over seeds, less the model's mean.
        rest: (..., M, S, G) sums of what neither image nor seed explains.
        sizes: (G,) images per group.
        trained: (M,) whether a row was trained with these seeds; other rows are fixed maps.
        paired: Whether seed k stands for the same initial values in all trained rows.
        share: (..., M) whether all scores lie in 0..1.
        equal: (...) p-value of the test that the models spread alike over seeds.
    """

    mean: Floats
    by_seed: Floats
    by_group: Floats
    rest: Floats
    sizes: Floats
    trained: npt.NDArray[np.bool_]
    paired: bool
    share: npt.NDArray[np.bool_]
    equal: Floats

    @property
    def num_seeds(self) -> int:
        """Number of seeds S."""
        return int(self.by_seed.shape[-1])

    @property
    def num_trained(self) -> int:
        """Number of rows that seeds move."""
        return int(self.trained.sum())


def fit_block(block: Block) -> Fit:
    """Fit the scores of one block."""
    trained = np.array(block.trained or (True,) * len(block.models), dtype=bool)
    return fit_scores(block.scores, block.groups, trained=trained, paired=block.paired)


def fit_scores(
    scores: Floats, groups: npt.NDArray[np.int64], *, trained: npt.NDArray[np.bool_] | None = None, paired: bool = False
) -> Fit:
    """Fit (..., M, S, n) scores whose images lie in ``groups`` (n,)."""
    sizes = np.bincount(groups).astype(float)
    sums = sum_by_group(scores, groups)
    inside = (scores.min(axis=(-2, -1)) > -_SLACK) & (scores.max(axis=(-2, -1)) < 1 + _SLACK)
    return fit_sums(sums, sizes, trained=trained, paired=paired, share=inside)


def fit_measures(
    scores: Floats, groups: npt.NDArray[np.int64], *, trained: npt.NDArray[np.bool_], paired: bool = False
) -> Iterator[tuple[list[int], list[int], Fit]]:
    """Fit (K, M, S, n) scores by K measures; yield measures, models and the fit of both.

    A model without a number for some image stays out of that measure's fit; measures with the same models share one.
    """
    sound: npt.NDArray[np.bool_] = np.asarray(np.isfinite(scores).all(axis=(2, 3)))
    for pattern in dict.fromkeys(map(tuple, sound)):
        models = [int(m) for m in np.flatnonzero(pattern)]
        measures = [k for k, row in enumerate(sound) if tuple(row) == pattern]
        if models:
            part = scores[np.ix_(measures, models)]
            yield measures, models, fit_scores(part, groups, trained=trained[models], paired=paired)


def fit_sums(
    sums: Floats,
    sizes: Floats,
    *,
    trained: npt.NDArray[np.bool_] | None = None,
    paired: bool = False,
    share: npt.NDArray[np.bool_] | None = None,
) -> Fit:
    """Fit (..., M, S, G) sums of the scores over the images of each group; ``sizes`` (G,) counts them."""
    trained = np.ones(sums.shape[-3], dtype=bool) if trained is None else trained
    by_seed = sums.sum(axis=-1) / sizes.sum()
    mean = by_seed.mean(axis=-1)
    over_seeds = sums.mean(axis=-2)
    rest = sums - over_seeds[..., None, :] - (by_seed - mean[..., None])[..., None] * sizes
    return Fit(
        mean=mean,
        by_seed=by_seed,
        by_group=over_seeds - mean[..., None] * sizes,
        rest=rest,
        sizes=sizes,
        trained=trained,
        paired=paired,
        share=np.zeros(mean.shape, dtype=bool) if share is None else share,
        equal=spread_test(by_seed[..., trained, :], paired=paired),
    )
