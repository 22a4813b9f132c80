"""Which images a cell uses: for training, for choosing the checkpoint, for scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from benchmark.config import Recipe, derive_seed
from benchmark.data.audit.leaks import Leak
from benchmark.data.files.hashing import fingerprint
from benchmark.data.listing.datasets import DATASETS
from benchmark.data.listing.items import Item
from benchmark.data.pixels.shared import Progress, SharedPixels
from benchmark.data.splits.partition import Split
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.data.pixels.pool import Pool


@dataclass(frozen=True)
class TrainingImages:
    """The images of one training, and where their pixels come from; ``val`` pick the checkpoint."""

    train: Sequence[Item]
    val: Sequence[Item]
    pixels: SharedPixels

    def pools(self, recipe: Recipe, progress: Progress | None = None) -> tuple[Pool, Pool]:
        """Return the cached pixels to train on and those that select the checkpoint."""
        return (
            self.pixels.pool(self.train, recipe, recipe.train_size, progress),
            self.pixels.pool(self.val, recipe, recipe.image_size, progress),
        )


@dataclass(frozen=True)
class TestImages:
    """The images of one test set that a cell is scored on.

    Attributes:
        items: The images.
        of: How many the whole set holds.
        leaks: Images of the whole set that training has seen.
    """

    __test__ = False
    items: Sequence[Item]
    of: int
    leaks: Sequence[Leak] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the images' contents."""
        return fingerprint(self.items)


def training_images(split: Split, recipe: Recipe, seed: int, pixels: SharedPixels) -> TrainingImages:
    """Choose what a recipe trains on, with a training seed, and validates on."""
    train = drawn_for_training(training_items(split, recipe), recipe, seed)
    return TrainingImages(train, picking_items(split, recipe), pixels)


def drawn_for_training(items: Sequence[Item], recipe: Recipe, seed: int) -> list[Item]:
    """Return those that a recipe trains on with a seed: all, evenly spaced ones, or a random draw by the seed."""
    limit = recipe.max_train_images
    if recipe.train_subset == "even" or limit is None or limit >= len(items):
        return subset(items, limit)
    drawn = np.random.default_rng(derive_seed("train_subset", seed)).choice(len(items), limit, replace=False)
    return [items[i] for i in sorted(drawn)]


def training_items(split: Split, recipe: Recipe) -> Sequence[Item]:
    """Return the training images, with the validation images if those select nothing."""
    return (*split.train, *split.val) if recipe.trains_on_all else split.train


def picking_items(split: Split, recipe: Recipe) -> list[Item]:
    """Return the images that select the checkpoint: validation images, or test sets that ``select`` names.

    Raises:
        BenchError: The split has no such test set.
    """
    parts = [_test_set(split, name) for name in recipe.test_selection] or [split.val]
    return [item for part in parts for item in subset(part, recipe.max_val_images)]


def _test_set(split: Split, name: str) -> Sequence[Item]:
    if name not in split.tests:
        raise BenchError(
            f"select = test: split {split.name} has no test set {name}, only {', '.join(split.tests) or 'nothing'}; "
            "add it to --datasets, or name another set"
        )
    return split.tests[name]


def named_selection(recipe: Recipe) -> Recipe:
    """Return the recipe with the test sets of ``select`` by their short names, in order, whatever the user wrote."""
    sets = recipe.test_selection
    if not sets:
        return recipe
    known = {_plain(text): name for name, info in DATASETS.items() for text in (name, info.title)}
    found = sorted({known.get(_plain(one), one.strip()) for one in sets})
    return recipe.model_copy(update={"select": f"test:{'+'.join(found)}"})


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def subset(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Return at most ``limit`` items, evenly spaced, so that every dataset and sequence keeps its share."""
    return [items[i] for i in subset_positions(len(items), limit)]


def subset_positions(count: int, limit: int | None) -> list[int]:
    """Return which of ``count`` items ``subset`` takes."""
    if limit is None or limit >= count:
        return list(range(count))
    return [i * count // limit for i in range(limit)]
