"""Average ranks over test sets, and when they are uninformative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats as sps

from benchmark.errors import BenchError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Ranks:
    """Average ranks over test sets (1 is best) with Nemenyi's critical difference.

    Attributes:
        average: Average rank by model, best first.
        critical_difference: Two average ranks that differ by less are not distinguished.
        friedman_p: p-value of Friedman's test that all models rank alike; NaN for fewer than three models.
        warning: Why it is unreliable; empty if it is reliable.
    """

    average: dict[str, float]
    critical_difference: float
    friedman_p: float
    num_sets: int
    warning: str


def average_ranks(scores: pd.DataFrame, *, higher_is_better: bool = True, alpha: float = 0.05) -> Ranks:
    """Rank models on each test set and average; equal scores share the mean of their places.

    Args:
        scores: One row per test set, one column per model, no blanks.
        higher_is_better: False for MAE.
        alpha: Level of the critical difference.
    Raises:
        BenchError: Fewer than two models, no test set, or a blank cell.
    Source: Demsar, JMLR 7 (2006), section 3.2.2.
    """
    num_sets, k = scores.shape
    if k < 2 or num_sets < 1:
        raise BenchError(f"ranks need two models and one test set at least; the results hold {k} and {num_sets}")
    blank = scores.isna()
    if blank.to_numpy().any():
        model = str(blank.any().idxmax())
        raise BenchError(
            f"ranks need every model on every set; {model} has none on {blank[model].idxmax()}: leave one out"
        )
    values = scores.to_numpy(dtype=float)
    ranks = sps.rankdata(-values if higher_is_better else values, axis=1).mean(axis=0)
    quantile = float(sps.studentized_range.ppf(1 - alpha, k, np.inf)) / np.sqrt(2)
    critical = quantile * float(np.sqrt(k * (k + 1) / (6 * num_sets)))
    friedman = float(sps.friedmanchisquare(*values.T).pvalue) if k >= 3 and num_sets >= 2 else float("nan")
    order = np.argsort(ranks, kind="stable")
    average = {str(scores.columns[i]): float(ranks[i]) for i in order}
    return Ranks(average, critical, friedman, num_sets, _rank_warning(k, num_sets, critical))


def _rank_warning(k: int, num_sets: int, critical: float) -> str:
    if critical >= k - 1:
        return (
            f"{num_sets} test sets say nothing about the ranks of {k} models: average ranks can differ by {k - 1} at "
            f"most, and only more than {critical:.2f} would count"
        )
    if num_sets < 10:
        return (
            f"{num_sets} test sets are too few for a verdict on {k} models: average ranks must differ by more than "
            f"{critical:.2f} of at most {k - 1}; look at the paired comparisons instead"
        )
    return ""
