"""Components of the variance of single scores: image, seed, remainder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.report.records.blocks import Block, Floats

if TYPE_CHECKING:
    import pandas as pd


def variance_split(blocks: Sequence[Block]) -> pd.DataFrame:
    """Split the variance of single scores into image, seed and remainder (image x seed).

    Method of moments for two crossed random factors; an estimate below zero is shown as zero.

    Returns:
        Columns dataset, model, var_image, var_seed, var_residual and their shares of the sum (share_image and so on,
        0 to 1). With one seed, or one image, the split cannot be made: NaN.
    """
    import pandas as pd

    rows = []
    for block in blocks:
        for m, model in enumerate(block.models):
            image, seed, rest = _components(block.scores[m])
            total = image + seed + rest
            shares = np.array([image, seed, rest]) / total if total > 0 else np.full(3, np.nan)
            rows.append(
                {
                    "dataset": block.dataset,
                    "model": model,
                    "var_image": image,
                    "var_seed": seed,
                    "var_residual": rest,
                    **dict(zip(("share_image", "share_seed", "share_residual"), shares, strict=True)),
                }
            )
    return pd.DataFrame(rows)


def _components(scores: Floats) -> tuple[float, float, float]:
    """Variance components (image, seed, remainder) of (S, n) scores."""
    num_seeds, n = scores.shape
    if num_seeds < 2 or n < 2:
        return np.nan, np.nan, np.nan
    grand, by_seed, by_image = scores.mean(), scores.mean(axis=1), scores.mean(axis=0)
    rest = scores - by_seed[:, None] - by_image + grand
    ms_rest = float((rest**2).sum() / ((num_seeds - 1) * (n - 1)))
    ms_seed, ms_image = n * float(by_seed.var(ddof=1)), num_seeds * float(by_image.var(ddof=1))
    return max(0.0, (ms_image - ms_rest) / num_seeds), max(0.0, (ms_seed - ms_rest) / n), ms_rest
