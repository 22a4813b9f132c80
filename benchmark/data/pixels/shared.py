"""The cached pixels of a study's images: one cache per dataset and size, shared by training, validation and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.config import Recipe
from benchmark.data.listing.items import Item
from benchmark.data.pixels.cache import PixelCache, open_cache

if TYPE_CHECKING:
    from benchmark.data.pixels.pool import Pool

Progress = Callable[[str, int, int], None]


class SharedPixels:
    """Hands out pixels of images; the cache of a dataset holds all of its images that were named, and is built once.

    Args:
        items: Every image that may be asked for; an image that is named twice counts once.
        cache_dir: Folder for the caches; None for the user's.
    """

    def __init__(self, items: Iterable[Item], cache_dir: Path | None = None) -> None:
        unique = {(item.dataset, item.id): item for item in items}
        self.datasets: dict[str, list[Item]] = {}
        for key in sorted(unique):
            self.datasets.setdefault(key[0], []).append(unique[key])
        self._cache_dir = cache_dir
        self._row = {(item.dataset, item.id): row for items in self.datasets.values() for row, item in enumerate(items)}

    def open(self, dataset: str, recipe: Recipe, size: int, progress: Progress | None = None) -> PixelCache:
        """Return the cache of a dataset at ``size`` px, built if need be.

        Raises:
            BenchError: An image or mask cannot be used; it is named.
        """
        return open_cache(
            self.datasets[dataset],
            size=size,
            mask_mode=recipe.masks,
            resize=recipe.resize,
            denoise=recipe.denoise,
            cache_dir=self._cache_dir,
            progress=lambda done, total: progress(f"cache {dataset} at {size} px", done, total) if progress else None,
        )

    def pool(self, items: Sequence[Item], recipe: Recipe, size: int, progress: Progress | None = None) -> Pool:
        """Return the pixels of some images, dataset by dataset, each in order."""
        from benchmark.data.pixels.pool import Pool, Subset

        parts = []
        for name in dict.fromkeys(item.dataset for item in items):
            ids = tuple(item.id for item in items if item.dataset == name)
            rows = np.array([self._row[name, one] for one in ids])
            parts.append(Subset(self.open(name, recipe, size, progress), rows, ids, name))
        return Pool(parts)
