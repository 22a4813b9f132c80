"""Measured work of the processor around a network: pixels, validation scores, maps to disk, scoring."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmark.config import Recipe
from benchmark.costs.formula import Host
from benchmark.data.files.read_item import read_mask
from benchmark.data.listing.items import Item
from benchmark.data.pixels import transforms
from benchmark.data.pixels.pool import Pool, Subset
from benchmark.prediction.maps import predict_at, save_map
from benchmark.runtime.device import make_fabric
from benchmark.scoring.score_maps import score_maps
from benchmark.study.plan import Request
from benchmark.training.validate import validate

_IMAGES = 8
_ASPECT = 1.15  # width to height of a typical frame


class _Pixels:
    def __init__(self, side: int) -> None:
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (_IMAGES, side, side, 3), dtype=np.uint8)
        self.masks = np.stack([_ellipse(side, side, k) for k in range(_IMAGES)])


def measure_host(request: Request, recipe: Recipe, *, map_px: float) -> Host:
    """Load, validate, predict and score eight drawn images through the harness's own code, with a minimal network.

    Scoring is timed once the plans of the masks are kept, as they are from a study's second cell on. Files go to a
    private temporary folder.

    Args:
        request: Protocols and engine.
        recipe: Size and batch.
        map_px: Pixels of a map.
    """
    fabric, model = make_fabric("cpu", recipe), nn.Conv2d(3, 1, 1)
    pixels = _Pixels(recipe.image_size)
    pool = Pool([Subset(pixels, np.arange(_IMAGES))])
    load_s = _median(lambda: transforms.to_float(*pool.batch(np.arange(_IMAGES))))
    validate_s = _median(lambda: validate(model, recipe, pool, fabric))
    height = max(32, round((map_px / _ASPECT) ** 0.5))
    width = max(32, round(map_px / height))
    with tempfile.TemporaryDirectory(prefix="bench-cost-") as folder:
        items = [_drawn(Path(folder), k, height, width) for k in range(_IMAGES)]
        images = torch.from_numpy(pixels.images)

        def path_of(item: Item) -> Path:
            return Path(folder) / "maps" / f"{item.id}.png"

        def predict() -> None:
            sizes = [read_mask(item).shape for item in items]
            for item, prob in zip(items, predict_at(model, recipe, images, sizes, fabric), strict=True):
                save_map(path_of(item), prob)

        predict_s = _median(predict)
        score = partial(
            score_maps,
            items,
            path_of,
            dataset="drawn",
            protocols=list(request.protocols.values()),
            engine=request.engine,
            cache_dir=Path(folder) / "cache",
        )
        score_s = _median(score)
    return Host(load_s / _IMAGES, validate_s / _IMAGES, predict_s / _IMAGES, score_s / _IMAGES)


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(4):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return float(np.median(times[1:]))


def _drawn(folder: Path, k: int, height: int, width: int) -> Item:
    path = folder / f"{k}.png"
    Image.fromarray(_ellipse(height, width, k)).save(path)
    return Item("drawn", str(k), path, path, f"drawn-{k}")


def _ellipse(height: int, width: int, k: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    inside = ((y / height - 0.5) / (0.2 + 0.02 * k)) ** 2 + ((x / width - 0.45) / 0.25) ** 2 < 1
    return np.where(inside, 255, 0).astype(np.uint8)
