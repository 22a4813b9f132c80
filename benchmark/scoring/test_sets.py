"""A network on its test sets: maps, then scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from benchmark.config import Recipe
from benchmark.data.audit.leaks import leak_facts
from benchmark.data.files.read_item import mask_shape
from benchmark.data.listing.datasets import dataset_info
from benchmark.data.listing.items import Item
from benchmark.data.pixels.pool import Pool
from benchmark.data.pixels.shared import SharedPixels
from benchmark.prediction.maps import predict_at, save_map
from benchmark.report.figures.worst_images import draw_worst
from benchmark.scoring.score_maps import score_maps
from benchmark.store import io
from benchmark.store.layout import CellPaths
from benchmark.store.schema import Record, TestResult
from benchmark.study.events import Events
from benchmark.study.images import TestImages
from benchmark.study.scoring import Scoring

if TYPE_CHECKING:
    from torch import nn


def score_network(
    model: nn.Module,
    recipe: Recipe,
    tests: Mapping[str, TestImages],
    *,
    fabric: Fabric,
    pixels: SharedPixels,
    scoring: Scoring,
    paths: CellPaths,
    events: Events,
    old: Record | None = None,
) -> tuple[dict[str, TestResult], dict[str, float]]:
    """Predict and score every test set; per-image rows, curves and maps are written beside the record.

    Args:
        model: A trained network on the device of ``fabric``.
        recipe: Its size, normalisation and test-time processing.
        tests: The images of each test set.
        fabric: Device and precision.
        pixels: Pixels of the images.
        scoring: Engine and protocols.
        paths: The cell's files.
        events: Receive progress.
        old: A record whose scores of other test sets are kept.
    Returns:
        The results by test set, and the seconds of predicting and scoring.
    """

    def source(name: str, chosen: TestImages, path_of: Callable[[Item], Path]) -> MapSource:
        cached = pixels.pool(chosen.items, recipe, recipe.image_size, events.phase)
        return _Predicting(model, recipe, fabric, chosen.items, cached, path_of)

    return score_tests(tests, source, scoring=scoring, paths=paths, events=events, old=old)


class MapSource(Protocol):
    """Makes the maps of some images: yields each image once its map can be had, which ``keep`` writes and returns.

    Attributes:
        seconds: Spent on the maps so far, apart from ``keep``.
    """

    seconds: float

    def __iter__(self) -> Iterator[Item]: ...

    def keep(self, path: Path) -> NDArray[np.uint8]: ...


def score_tests(
    tests: Mapping[str, TestImages],
    source: Callable[[str, TestImages, Callable[[Item], Path]], MapSource],
    *,
    scoring: Scoring,
    paths: CellPaths,
    events: Events,
    old: Record | None = None,
) -> tuple[dict[str, TestResult], dict[str, float]]:
    """Score test sets whose maps somebody makes meanwhile; ``source`` gives the maker of one set.

    The other arguments and what comes back are those of ``score_network``.
    """
    import pandas as pd

    frames, curves, results = [], {}, {}
    seconds = {"predict_s": 0.0, "score_s": 0.0}
    for name, chosen in tests.items():
        items, path_of = chosen.items, partial(_map_path, paths, name)
        begun = time.perf_counter()
        predicting = source(name, chosen, path_of)
        scored = score_maps(
            predicting,
            path_of,
            dataset=name,
            protocols=scoring.protocols,
            engine=scoring.engine,
            cache_dir=scoring.cache_dir,
            read=predicting.keep,
            total=len(items),
            progress=partial(events.phase, f"score {name}"),
        )
        draw_worst(paths.worst(name), scored.rows, items, path_of)
        seconds["predict_s"] += predicting.seconds
        seconds["score_s"] += time.perf_counter() - begun - predicting.seconds
        frames.append(scored.rows)
        curves.update(scored.curves)
        results[name] = TestResult(
            title=dataset_info(name).title,
            n=len(items),
            of=chosen.of if len(items) < chosen.of else None,
            fingerprint=chosen.fingerprint,
            **leak_facts(chosen.leaks, items),
            scores=scored.summary,
            empty_masks=scored.empty_masks,
        )
    others = {name: result for name, result in old.tests.items() if name not in results} if old is not None else {}
    if others:
        rows = io.read_scores(paths.scores)
        frames.append(rows[rows["dataset"].isin(list(others))])
        curves.update({k: v for k, v in io.read_npz(paths.curves).items() if k.split("/")[1] in others})
    if frames:
        io.write_parquet(paths.scores, pd.concat(frames, ignore_index=True))
        io.write_npz(paths.curves, curves)
    return {**others, **results}, seconds


def _map_path(paths: CellPaths, dataset: str, item: Item) -> Path:
    return paths.map(dataset, item.id)


class _Predicting:
    """Predicts images on demand, batch by batch; meanwhile threads write and score the previous maps.

    Attributes:
        seconds: Time spent on the network so far.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        fabric: Fabric,
        items: Sequence[Item],
        cached: Pool,
        path_of: Callable[[Item], Path],
    ) -> None:
        self.model, self.recipe, self.fabric = model, recipe, fabric
        self.items, self.cached, self.path_of = items, cached, path_of
        self.seconds = 0.0
        self._maps: dict[Path, NDArray[np.uint8]] = {}

    def __iter__(self) -> Iterator[Item]:
        step = self.recipe.batch_size
        for start in range(0, len(self.items), step):
            begun, part = time.perf_counter(), self.items[start : start + step]
            images, _ = self.cached.batch(np.arange(start, start + len(part)))
            sizes = [mask_shape(item) for item in part]
            maps = predict_at(self.model, self.recipe, images, sizes, self.fabric)
            self._maps.update(zip(map(self.path_of, part), maps, strict=True))
            self.seconds += time.perf_counter() - begun
            yield from part

    def keep(self, path: Path) -> NDArray[np.uint8]:
        """Write an image's map and return it for scoring; called from several threads."""
        prob = self._maps.pop(path)
        save_map(path, prob)
        return prob
