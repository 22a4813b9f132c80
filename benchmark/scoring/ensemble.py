"""The mean of several cells' maps, scored as a cell of its own: seeds, folds, models, and flips at test time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.config import config_hash
from benchmark.data.files.maps import read_map
from benchmark.data.files.read_item import mask_shape
from benchmark.data.listing.items import Item
from benchmark.data.pixels.shared import SharedPixels
from benchmark.prediction.maps import save_map
from benchmark.runtime import environment
from benchmark.scoring.ensemble_cells import choose_members, test_images, with_leaks
from benchmark.scoring.map_records import make_record
from benchmark.scoring.released import scored_alike
from benchmark.scoring.test_sets import score_tests
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout, cell_id
from benchmark.store.schema import Ensemble, Parent, Record
from benchmark.study.images import TestImages

if TYPE_CHECKING:
    from benchmark.prediction.network import Network
    from benchmark.study.events import Events
    from benchmark.study.plan import Request


def make_ensemble(
    runs: Sequence[str],
    *,
    request: Request,
    datasets: Sequence[str] = (),
    flips: Sequence[str] = (),
    from_weights: bool = False,
    name: str | None = None,
    model: str | None = None,
    events: Events,
) -> Record:
    """Average the maps of finished cells and score the mean; it becomes a record that names its cells.

    Args:
        runs: Cells, or beginnings of their names' parts that may fit several (``unet/quick``: all of its seeds).
        request: Protocol, engine, folders, device.
        datasets: Test sets; every one that the cells scored if empty.
        flips: Also predict images flipped (``hflip``, ``vflip``, ``hvflip``); the networks are needed for that.
        from_weights: Predict again with ``best.pt``, so that probabilities are averaged before they are rounded.
        name: Name in tables.
        model: ``FILE.py:function`` of cells whose network came from a file.
        events: Told of progress.
    Raises:
        BenchError: No such cell, fewer than two maps to average, maps that were not kept, cells that scored other
            images, or a cell that trained on an image that another is scored on.
    """
    from benchmark.prediction.flips import check_flips

    layout = ResultsLayout(request.results)
    turned = check_flips(flips)
    again = from_weights or bool(turned)
    members = choose_members(layout, runs, alone=bool(turned))
    tests = test_images(members, layout, datasets, request=request, again=again)
    averaged: Literal["maps", "probabilities"] = "probabilities" if again else "maps"
    parents = [Parent(cell=one.cell, sha256=one.best_sha256 or "") for one in members.records]
    facts = Ensemble(parents=parents, averaged=averaged, flips=list(turned))
    title = name or members.title(turned)
    payload = {**facts.model_dump(mode="json"), "name": title}
    cell = cell_id("ensemble", ablation=(), recipe="mean", config=config_hash(payload), seed=0)
    paths = layout.cell(cell)
    if again:
        networks = members.networks(request, model)
        source = _predicted(networks, tests, turned, request, events)
        where = environment.describe(str(networks[0].fabric.device))
    else:
        source, where = _kept([layout.cell(one.cell) for one in members.records]), environment.describe("cpu")
    old = scored_alike(layout, cell, request.scoring)
    results, timing = score_tests(tests, source, scoring=request.scoring, paths=paths, events=events, old=old)
    results = {one: with_leaks(members, one, found) if one in tests else found for one, found in results.items()}
    record = make_record(
        cell,
        "ensemble",
        title,
        list(request.protocols.values()),
        results,
        engine=request.engine,
        origin=members.origin(averaged, turned),
        weights={},
    ).model_copy(update={"ensemble": facts, "timing": timing, "environment": where})
    io.mark(layout.root)
    io.write_record(paths, record)
    return record


MakeSource = Callable[[str, TestImages, Callable[[Item], Path]], "_Mean"]


@dataclass
class _Mean:
    """Makes the mean maps of one test set; ``keep`` writes one and returns it.

    Attributes:
        items: The images, in order.
        path_of: Where an image's mean map goes.
        mean: Makes the mean map of one image, (H, W) uint8.
        batches: Called before the images of one batch are handed out; predicts them where there are networks.
        step: Images of a batch.
        seconds: Spent in ``batches``.
    """

    items: Sequence[Item]
    path_of: Callable[[Item], Path]
    mean: Callable[[Item], NDArray[np.uint8]]
    batches: Callable[[int, Sequence[Item]], None] = lambda start, part: None
    step: int = 1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._by_path = {self.path_of(item): item for item in self.items}

    def __iter__(self) -> Iterator[Item]:
        for start in range(0, len(self.items), self.step):
            part, begun = self.items[start : start + self.step], time.perf_counter()
            self.batches(start, part)
            self.seconds += time.perf_counter() - begun
            yield from part

    def keep(self, path: Path) -> NDArray[np.uint8]:
        """Write an image's mean map, and give it to whoever scores it; called from several threads."""
        made = self.mean(self._by_path[path])
        save_map(path, made)
        return made


def _kept(cells: Sequence[CellPaths]) -> MakeSource:
    """Average the 8-bit maps that the cells kept."""

    def source(name: str, chosen: TestImages, path_of: Callable[[Item], Path]) -> _Mean:
        def mean(item: Item) -> NDArray[np.uint8]:
            total = sum(read_map(paths.map(name, item.id)).astype(np.float64) for paths in cells)
            return np.rint(total / len(cells)).astype(np.uint8)

        return _Mean(chosen.items, path_of, mean)

    return source


def _predicted(
    networks: Sequence[Network],
    tests: Mapping[str, TestImages],
    flips: Sequence[str],
    request: Request,
    events: Events,
) -> MakeSource:
    """Average the probabilities of networks, each over the flips, and round once."""
    from benchmark.prediction.flips import sum_over_flips

    pixels = SharedPixels((item for chosen in tests.values() for item in chosen.items), request.cache_dir)
    number = len(networks) * (1 + len(flips))

    def source(name: str, chosen: TestImages, path_of: Callable[[Item], Path]) -> _Mean:
        pools = [pixels.pool(chosen.items, n.recipe, n.recipe.image_size, events.phase) for n in networks]
        made: dict[Item, NDArray[np.uint8]] = {}

        def predict(start: int, part: Sequence[Item]) -> None:
            sizes = [mask_shape(item) for item in part]
            sums = [np.zeros(size) for size in sizes]
            for network, pool in zip(networks, pools, strict=True):
                images, _ = pool.batch(np.arange(start, start + len(part)))
                for total, more in zip(sums, sum_over_flips(network, images, sizes, flips), strict=True):
                    total += more
            levels = (np.rint(total / number * 255).astype(np.uint8) for total in sums)
            made.update(zip(part, levels, strict=True))

        step = min(network.recipe.batch_size for network in networks)
        return _Mean(chosen.items, path_of, made.pop, predict, step)

    return source
