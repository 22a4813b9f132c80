"""Results of a robustness study as values: figures with intervals, rows, paired changes, a summary per test set."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A mean over images and seeds with the ends of its 95 % interval (NaN where none can be given)."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Change:
    """A paired difference of two means; the ends and p are NaN where the design allows none."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Row:
    """One model, recipe and denoiser on one test set.

    Attributes:
        name: Unique in the table; used in plots.
        model: Registry name.
        title: As printed.
        recipe: Label of the recipe.
        trained_with: Noise of its training.
        base: Its recipe without noise, as text.
        noise: Corruptions of the table that it was trained with.
        denoise: Label of the denoiser.
        seeds: Seeds averaged.
        clean: Score without corruption and without denoiser.
        clean_denoised: Score without corruption behind the denoiser.
        by_corruption: Mean over severities.
        by_severity: Mean over corruptions, by severity.
        corrupted: Mean over corruptions and severities.
        retention: ``corrupted`` / ``clean``.
        mce: Mean over corruptions of the error relative to the reference's, 1 for the reference; None without one.
        versus: ``corrupted`` less the reference's, with Holm-corrected p.
        p_holm: Of ``versus``.
        scores: (K, S, n) of single images: clean, clean behind the denoiser, each corruption, their mean, retention.
        groups: (n,) the images' groups, integers from 0.
    """

    name: str
    model: str
    title: str
    ablation: tuple[str, ...]
    recipe: str
    trained_with: tuple[str, ...]
    base: str
    noise: tuple[str, ...]
    denoise: str
    seeds: tuple[int, ...]
    n: int
    clean: Figure
    clean_denoised: Figure
    by_corruption: dict[str, Figure]
    by_severity: dict[int, float]
    corrupted: Figure
    retention: Figure
    scores: Floats
    groups: NDArray[np.int64]
    cells: tuple[str, ...]
    ids: tuple[str, ...]
    mce: float | None = None
    versus: Change | None = None
    p_holm: float = float("nan")


@dataclass(frozen=True)
class Pair:
    """Effect of one change on a model: a denoiser in front of it, or noise in its training."""

    title: str
    change: str
    clean: Change
    corrupted: Change
    p_holm: float = float("nan")


@dataclass(frozen=True)
class Summary:
    """One test set; ``name`` is that of the comparison, ``how_made`` what captions state of protocol and training."""

    dataset: str
    title: str
    protocol: str
    protocol_hash: str
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    reference: str | None
    synthetic: bool
    notes: tuple[str, ...] = field(default=())
    name: str = ""
    how_made: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """``how_made`` as text."""
        return ". ".join(self.how_made) + "."

    @property
    def stem(self) -> str:
        """Beginning of the names of its files."""
        return f"{self.combined}-{self.dataset}"

    @property
    def combined(self) -> str:
        """Beginning of the names of the files that hold every test set."""
        return f"{self.name}-robust" if self.name else "robust"
