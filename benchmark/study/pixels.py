"""The cached pixels of a study's images, as training and prediction want them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.config import Recipe
from benchmark.data.listing.items import Item
from benchmark.data.pixels.cache import open_cache
from benchmark.data.pixels.pool import Pool, Subset
from benchmark.data.splits.choose import Split
from benchmark.study.events import Watcher
from benchmark.study.plan import Cell, Study, subset


def training_pools(study: Study, cell: Cell, watcher: Watcher | None = None) -> tuple[Pool, Pool]:
    """The pixels that a cell trains on and those that choose its checkpoint."""
    recipe, split = cell.recipe, study.split
    train = subset(training_items(split, recipe), recipe.max_train_images)
    return (
        pool(study, cell, train, recipe.train_size, watcher),
        pool(study, cell, subset(split.val, recipe.max_val_images), recipe.image_size, watcher),
    )


def training_items(split: Split, recipe: Recipe) -> Sequence[Item]:
    """What is trained on: the split's training images, and its validation images where nothing is picked by them."""
    return (*split.train, *split.val) if recipe.select == "last_all" else split.train


def pool(study: Study, cell: Cell, items: Sequence[Item], size: int, watcher: Watcher | None) -> Pool:
    """The cached pixels of a list of items, dataset by dataset."""
    names = dict.fromkeys(item.dataset for item in items)
    return Pool([pixels(study, cell, [i for i in items if i.dataset == name], size, watcher) for name in names])


def pixels(study: Study, cell: Cell, items: Sequence[Item], size: int, watcher: Watcher | None) -> Subset:
    """The cached pixels of some images of one dataset; the cache holds all the dataset's images and is built once."""
    name = items[0].dataset
    everything = study.universe[name]
    cache = open_cache(
        everything,
        size=size,
        mask_mode=cell.recipe.masks,
        resize=cell.recipe.resize,
        cache_dir=study.request.cache_dir,
        progress=lambda done, total: watcher.phase(f"cache {name} at {size} px", done, total) if watcher else None,
    )
    row = {item.id: number for number, item in enumerate(everything)}
    return Subset(cache, np.array([row[item.id] for item in items]), tuple(item.id for item in items), name)
