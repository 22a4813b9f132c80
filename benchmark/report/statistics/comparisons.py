"""Intervals of means and paired comparisons as data frames, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import stats as sps

from benchmark.report.records.blocks import Block, Floats
from benchmark.report.statistics.fit import Fit, fit_block
from benchmark.report.statistics.groups import sum_by_group
from benchmark.report.statistics.limits import MIN_SEEDS, blank, caution, not_estimable
from benchmark.report.statistics.model import Estimates, differences, means

if TYPE_CHECKING:
    import pandas as pd


def mean_intervals(blocks: Sequence[Block]) -> pd.DataFrame:
    """Interval of each model's mean on each test set.

    Returns:
        Columns dataset, model, mean, std (over seeds, N - 1), low, high, error, df, n, num_groups, num_seeds, reason
        (why there is no interval) and note.
    """
    import pandas as pd

    rows = []
    for block in blocks:
        fit = fit_block(block)
        found = honest(means(fit), fit, block.word)
        std = fit.by_seed.std(axis=-1, ddof=1) if fit.num_seeds > 1 else np.full(fit.mean.shape, np.nan)
        rows += [
            {"dataset": block.dataset, "model": model, "mean": found.value[m], "std": std[m]}
            | {"low": found.low[m], "high": found.high[m], "error": found.error[m], "df": found.df[m]}
            | _facts(block, fit)
            for m, model in enumerate(block.models)
        ]
    return pd.DataFrame(rows)


def paired_comparisons(blocks: Sequence[Block], *, reference: str) -> pd.DataFrame:
    """Compare every model with ``reference`` by per-image differences, Holm-corrected over the whole table.

    Returns:
        Columns dataset, model, reference, difference (model less reference), low, high, error, df, p, p_holm (NaN
        where nothing is tested), n, num_groups, num_seeds, reason, note. Empty when there is no other model.
    Raises:
        BenchError: The reference is unknown.
    """
    import pandas as pd

    rows = []
    for block in blocks:
        ref, fit = block.index(reference), fit_block(block)
        found = honest(differences(fit, ref), fit, block.word, against=ref)
        rows += [
            {"dataset": block.dataset, "model": model, "reference": reference, "difference": found.value[m]}
            | {"low": found.low[m], "high": found.high[m], "error": found.error[m], "df": found.df[m], "p": found.p[m]}
            | _facts(block, fit)
            for m, model in enumerate(block.models)
            if m != ref
        ]
    columns = ["dataset", "model", "reference", "difference", "low", "high", "error", "df", "p", "p_holm"]
    columns += ["n", "num_groups", "num_seeds", "reason", "note"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=holm(table["p"].to_numpy(dtype=float)))


def honest(found: Estimates, fit: Fit, word: str, *, against: int | None = None) -> Estimates:
    """Return the estimates that the design supports: no intervals of few groups, no tests of few seeds."""
    reason = not_estimable(fit.sizes, word)
    moved = fit.trained if against is None else fit.trained | fit.trained[against]
    untested = moved & (fit.num_seeds < MIN_SEEDS)
    return replace(
        found,
        low=blank(found.low, reason),
        high=blank(found.high, reason),
        p=blank(np.where(untested, np.nan, found.p), reason),
    )


def holm(p: npt.ArrayLike) -> Floats:
    """Return Holm's step-down adjusted p-values, in the order given; NaN stays NaN and is not counted."""
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p, dtype=float)
    adjusted = np.full(values.shape, np.nan)
    tested = np.isfinite(values)
    if tested.any():
        adjusted[tested] = multipletests(values[tested], method="holm")[1]
    return adjusted


def wilcoxon(difference: Floats, groups: npt.NDArray[np.int64]) -> float:
    """Return the p-value of Wilcoxon's signed-rank test that differences are symmetric about 0.

    One difference per group of images, mean over its images and over seeds: it speaks of these trainings alone.

    Args:
        difference: (n,) differences of single images, mean over seeds. groups: (n,) their groups.
    """
    by_group = sum_by_group(difference, groups) / np.bincount(groups)
    return float(sps.wilcoxon(by_group).pvalue) if np.any(by_group) else 1.0


def _facts(block: Block, fit: Fit) -> dict[str, object]:
    seeds = fit.num_seeds if fit.num_trained else 0
    return {
        "n": len(block.ids),
        "num_groups": len(fit.sizes),
        "num_seeds": fit.num_seeds,
        "reason": not_estimable(fit.sizes, block.word),
        "note": caution(fit.sizes, seeds, block.word),
    }
