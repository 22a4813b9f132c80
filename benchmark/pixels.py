"""The cached pixels of a study's images, as training and prediction want them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.data.cache import open_cache
from benchmark.data.items import Item
from benchmark.data.pool import Pool, Subset
from benchmark.plan import Cell, Study
from benchmark.watcher import Watcher


def pool(study: Study, cell: Cell, items: Sequence[Item], size: int, watcher: Watcher) -> Pool:
    """The cached pixels of a list of items, dataset by dataset."""
    names = dict.fromkeys(item.dataset for item in items)
    return Pool([pixels(study, cell, [i for i in items if i.dataset == name], size, watcher) for name in names])


def pixels(study: Study, cell: Cell, items: Sequence[Item], size: int, watcher: Watcher) -> Subset:
    """The cached pixels of some images of one dataset; the cache holds all the dataset's images and is built once."""
    name = items[0].dataset
    everything = study.universe[name]
    cache = open_cache(
        everything,
        size=size,
        mask_mode=cell.recipe.masks,
        resize=cell.recipe.resize,
        cache_dir=study.request.cache_dir,
        progress=lambda done, total: watcher.phase(f"cache {name} at {size} px", done, total),
    )
    row = {item.id: number for number, item in enumerate(everything)}
    return Subset(cache, np.array([row[item.id] for item in items]), tuple(item.id for item in items), name)
