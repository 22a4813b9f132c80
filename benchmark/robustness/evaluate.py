"""Predict and score finished cells on corrupted test sets; nothing is trained.

The outer loop runs over test set, corruption and severity, the inner one over networks: an image is corrupted,
denoised and resized once for all of them. Maps stay in memory. A result is written when complete, so a stopped
command resumes where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.read_item import read_image, read_mask_grey
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.recipes.read import validate_recipe
from benchmark.robustness.cells import Asked, Source
from benchmark.robustness.corruptions import Pixels, applicable, corrupt, get_corruption, select
from benchmark.robustness.corruptions.base import check_severity
from benchmark.robustness.foreign_cells import maps_of
from benchmark.robustness.front_ends import get_denoiser
from benchmark.store.robust_results import CLEAN, RobustResult, result_path, write_result

if TYPE_CHECKING:
    from benchmark.prediction.network import Network
    from benchmark.scoring.map_folders import MapSet

_BATCH = 8
_MEMORY_BYTES = 1_500_000_000
_COLUMNS = ("protocol", "dataset", "id", "group", "content")


@dataclass(frozen=True)
class Unit:
    """One corrupted test set behind one denoiser."""

    dataset: str
    corruption: str
    severity: int
    denoise: str

    @property
    def text(self) -> str:
        """Name for messages."""
        behind = "" if self.denoise == "none" else f", denoised by {self.denoise}"
        return f"{self.dataset}: {self.corruption} {self.severity}{behind}"


def plan_units(asked: Asked, sources: Sequence[Source], notice: Callable[[str], None] = lambda _: None) -> list[Unit]:
    """List the units to measure.

    A corruption of a group that does not apply to a test set (colour or grey) is skipped and reported.

    Raises:
        BenchError: An unknown name, a severity outside 1 to 5, a corruption by name that does not apply, or one that a
            chosen cell was trained with, unless ``asked.seen``.
    """
    for severity in asked.severities:
        check_severity(severity)
    if not asked.severities or not asked.denoisers:
        raise BenchError("nothing to measure: --severities and --denoise each need at least one value")
    select(asked.corruptions)  # raises: an unknown name is refused before an image is read
    for name in asked.denoisers:
        get_denoiser(name)
    units: list[Unit] = []
    for dataset in sources[0].items:
        sample = next(source.items[dataset][0] for source in sources)
        kept, unfit = applicable(asked.corruptions, read_image(sample), f"{dataset} {sample.id}")
        for name, fault in unfit.items():
            notice(f"{dataset}: {name} left out ({fault})")
        names = [one.name for one in kept]
        for denoise in asked.denoisers:
            units += [Unit(dataset, CLEAN, 0, denoise)] if denoise != "none" else []
            units += [Unit(dataset, name, severity, denoise) for name in names for severity in sorted(asked.severities)]
    drawn = next((source for source in sources if source.maps is not None), None)
    if drawn is not None and any(unit.denoise != "none" for unit in units):
        raise BenchError(f"{drawn.record.cell}: maps by their authors cannot be denoised; pass --denoise none")
    _refuse_seen(asked, sources, {unit.corruption for unit in units})
    return list(dict.fromkeys(units))


def _refuse_seen(asked: Asked, sources: Sequence[Source], corruptions: set[str]) -> None:
    for source in sources if not asked.seen else ():
        shared = sorted(set(source.record.recipe.get("noise") or ()) & corruptions)
        if shared:
            raise BenchError(
                f"{source.record.cell} was trained with {', '.join(shared)}; leave out the corruption or the cell, or "
                "pass --seen, and tables mark it"
            )


def draft_of(asked: Asked, source: Source, unit: Unit, weights: str | None = None) -> RobustResult:
    """The result without scores; ``weights`` is the digest that identifies the cell's maps, if it is known."""
    record = source.record
    denoiser = get_denoiser(unit.denoise)
    return RobustResult(
        cell=record.cell,
        best_sha256=weights or _weights_of(source, unit),
        dataset=unit.dataset,
        corruption=unit.corruption,
        corruption_hash=CLEAN if unit.corruption == CLEAN else get_corruption(unit.corruption).hash,
        severity=unit.severity,
        denoise=denoiser.label,
        denoise_hash=denoiser.hash,
        engine=asked.engine,
        protocols={name: protocol.hash for name, protocol in asked.protocols.items()},
        test=record.tests[unit.dataset].model_copy(update={"scores": {}}),
        created="",
    )


def _weights_of(source: Source, unit: Unit) -> str:
    """SHA-256 of the cell's weights, of the released checkpoint, or of the maps that others predicted."""
    if source.maps is not None:
        return maps_of(source.maps, unit.dataset, unit.corruption, unit.severity, source.items[unit.dataset])[1]
    record = source.record
    return str(record.pretrained["sha256"] if source.checkpoint is not None else record.best_sha256)


@dataclass
class Bench:
    """Networks, images and masks that stay in memory between units."""

    asked: Asked
    sources: Sequence[Source]
    networks: dict[str, Network] = field(default_factory=dict)
    images: dict[Path, Pixels] = field(default_factory=dict)
    masks: dict[Path, Pixels] = field(default_factory=dict)

    def run(self, unit: Unit, cells: Sequence[str]) -> int:
        """Measure some cells on one unit and write their results; returns how many."""
        by_images: dict[tuple[str, ...], list[Source]] = {}
        for source in self.sources:
            if source.record.cell in cells:
                by_images.setdefault(tuple(i.id for i in source.items[unit.dataset]), []).append(source)
        for group in by_images.values():
            items = group[0].items[unit.dataset]
            size = len(items) * self._image(items[0]).nbytes // 3  # a map is one channel
            step = max(1, _MEMORY_BYTES // max(size, 1))
            for start in range(0, len(group), step):
                self._measure(unit, group[start : start + step], items)
        return len(cells)

    def _measure(self, unit: Unit, group: Sequence[Source], items: Sequence[Item]) -> None:
        networks = [source for source in group if source.maps is None]
        begun = time.perf_counter()
        maps = self._predict(unit, [self._network(source) for source in networks], items) if networks else []
        seconds = (time.perf_counter() - begun) / max(1, len(networks))
        for source, found in zip(networks, maps, strict=True):
            self._score(unit, source, items, lambda path, own=found: own[str(path)], seconds)  # type: ignore[misc]
        for source in group:
            if source.maps is not None:
                theirs, digest = maps_of(source.maps, unit.dataset, unit.corruption, unit.severity, items)
                self._score(unit, source, items, partial(_map_at, theirs), weights=digest)

    def _predict(self, unit: Unit, networks: Sequence[Network], items: Sequence[Item]) -> list[dict[str, Pixels]]:
        """8-bit maps of every network by image id, at the images' own sizes."""
        import torch

        from benchmark.data.pixels.resize import resize_image
        from benchmark.prediction.maps import predict_at

        maps: list[dict[str, Pixels]] = [{} for _ in networks]
        for start in range(0, len(items), _BATCH):
            part = items[start : start + _BATCH]
            images = [self._prepared(unit, item) for item in part]
            sizes = [image.shape[:2] for image in images]
            stacks: dict[tuple[Any, ...], Any] = {}
            for network, found in zip(networks, maps, strict=True):
                key = (network.recipe.image_size, network.recipe.resize, network.recipe.denoise)
                if key not in stacks:
                    ready = [get_denoiser(key[2])(image) for image in images]
                    stacks[key] = torch.from_numpy(np.stack([resize_image(one, key[0], key[1]) for one in ready]))
                made = predict_at(network.model, network.recipe, stacks[key], sizes, network.fabric)
                found.update({item.id: prob for item, prob in zip(part, made, strict=True)})
        return maps

    def _prepared(self, unit: Unit, item: Item) -> Pixels:
        image = self._image(item)
        if unit.corruption != CLEAN:
            image = corrupt(image, unit.corruption, severity=unit.severity, image_id=item.id)
        return image if unit.denoise == "none" else get_denoiser(unit.denoise)(image)

    def _score(
        self,
        unit: Unit,
        source: Source,
        items: Sequence[Item],
        read: Callable[[Path], NDArray],
        predict_s: float | None = None,
        weights: str | None = None,
    ) -> None:
        from benchmark.scoring.score_maps import score_maps

        begun = time.perf_counter()
        scored = score_maps(
            items,
            lambda item: Path(item.id),
            dataset=unit.dataset,
            protocols=list(self.asked.protocols.values()),
            engine=self.asked.engine,
            cache_dir=self.asked.cache_dir,
            read=read,
            read_mask=self._mask,
        )
        draft = draft_of(self.asked, source, unit, weights)
        timing = {"score_s": time.perf_counter() - begun}
        result = draft.model_copy(
            update={
                "test": draft.test.model_copy(update={"scores": scored.summary, "empty_masks": scored.empty_masks}),
                "environment": self._environment(source),
                "timing": timing if predict_s is None else {"predict_s": predict_s, **timing},
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        kept = [name for name in scored.rows.columns if name in _COLUMNS or name in _measures()]
        path = result_path(source.paths, unit.dataset, unit.corruption, unit.severity, draft.denoise)
        write_result(path, result, scored.rows[kept])

    def _environment(self, source: Source) -> dict[str, Any]:
        if source.maps is not None:
            return {}
        from benchmark.models.build import run_environment

        network = self._network(source)
        return run_environment(network.fabric, network.spec)

    def _network(self, source: Source) -> Network:
        cell = source.record.cell
        if cell not in self.networks:
            self.networks[cell] = _load(source, self.asked)
        return self.networks[cell]

    def _image(self, item: Item) -> Pixels:
        return _kept(self.images, item.image_path, lambda: read_image(item))

    def _mask(self, item: Item) -> Pixels:
        return _kept(self.masks, item.mask_path, lambda: read_mask_grey(item))


def _load(source: Source, asked: Asked) -> Network:
    from benchmark.prediction.network import network_of_checkpoint, network_of_run

    record = source.record
    if source.checkpoint is None:
        return network_of_run(
            str(source.paths.folder), results=asked.results, model=source.model_file, device=asked.device
        )
    return network_of_checkpoint(
        source.model_file or record.model,
        source.checkpoint,
        recipe=validate_recipe(record.recipe, where=f"record {record.cell}"),
        device=asked.device,
        key=record.pretrained.get("key"),
        strip_prefix=record.pretrained.get("strip_prefix"),
    )


def _map_at(maps: MapSet, image_id: Path) -> NDArray:
    return maps.read(maps.paths[str(image_id)])


def _kept(store: dict[Path, Pixels], path: Path, read: Callable[[], Pixels]) -> Pixels:
    """Cached image, as long as memory allows."""
    found = store.get(path)
    if found is None:
        found = read()
        if sum(one.nbytes for one in list(store.values())[:1]) * len(store) < _MEMORY_BYTES:
            store[path] = found
    return found


def _measures() -> tuple[str, ...]:
    from benchmark.metrics.measures import COLUMNS

    return (*COLUMNS.values(), "dice_half", "iou_half")
