"""Variance of a mean due to the choice of images, where images come in groups."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmark.report.records.blocks import Floats


def sum_by_group(values: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """Sum (..., n) values over the images of each group: (..., G). Groups are numbered from 0 without gaps."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(int(groups.max()) + 1))
    return np.add.reduceat(values[..., order], starts, axis=-1)


def robust_variance(deviations: Floats, sizes: Floats) -> Floats:
    """Return the variance of a mean over images that come in groups.

    CR2: each group's sum of deviations is inflated for its share of the mean that was subtracted, so that the
    estimate is unbiased for independent images whatever the groups' sizes. With single images it is s^2 / n.

    Args:
        deviations: (..., G) sums over each group of the images' deviations from the mean over all images.
        sizes: (G,) images of each group.
    Returns:
        (...) variances; NaN with one group.
    Source: Bell and McCaffrey, Survey Methodology 28 (2002).
    """
    share = sizes / sizes.sum()
    if len(sizes) < 2:
        return np.full(deviations.shape[:-1], np.nan)
    variance: Floats = (deviations**2 / (1 - share)).sum(axis=-1) / sizes.sum() ** 2
    return variance


def robust_df(sizes: Floats) -> float:
    """Return the degrees of freedom of ``robust_variance``: G - 1 for equal groups, fewer for unequal ones.

    Satterthwaite's for the quadratic form, under independent images and under groups that move as one; the smaller.
    NaN with one group.

    Source: Bell and McCaffrey (2002); Imbens and Kolesar, Review of Economics and Statistics 98 (2016).
    """
    if len(sizes) < 2:
        return float("nan")
    total = sizes.sum()
    share = sizes / total
    shrink = np.sqrt(1 - share)
    single = -np.outer(sizes, sizes) / total / np.outer(shrink, shrink)
    np.fill_diagonal(single, sizes)
    lever = (np.diag(sizes) - np.outer(sizes, sizes) / total) / shrink[:, None]
    as_one = lever @ lever.T
    return float(min(np.trace(form) ** 2 / (form**2).sum() for form in (single, as_one)))
