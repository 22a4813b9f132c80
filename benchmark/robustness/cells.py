"""The cells to measure, and the images that each was scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.data.listing.items import Item
from benchmark.errors import BenchError, unknown_name
from benchmark.metrics import Protocol, get_protocol
from benchmark.metrics.named import STANDARD
from benchmark.robustness.foreign_cells import foreign_files
from benchmark.scoring.cell_images import scored_items
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.schema import Record


@dataclass(frozen=True)
class Asked:
    """The request of ``bench robust``.

    Attributes:
        results: Results folder.
        runs: Parts of cell names; every finished cell if empty.
        models: Registry names; every model if empty. A network from a file is named ``FILE.py:function``.
        corruptions: Names and groups.
        severities: 1 to 5.
        datasets: Test sets; every one that all chosen cells scored if empty.
        denoisers: Front ends, measured one at a time; ``none`` is the network alone.
        protocol: Protocol of the tables. All named protocols are scored.
        reference: Reference model of mCE and of differences.
        seen: Whether to test a model on corruptions that it was trained on; tables mark them.
        device: As for ``bench run``.
        workers: Processes.
        data_root: Where the images are.
        cache_dir: For phantom and the plans of masks.
        checkpoints: Released checkpoints that ``bench evaluate --checkpoint`` scored; a cell is found by its SHA-256.
        maps: Folders of maps that others predicted on corrupted images, by a part of the name of their cell.
        name: Distinguishes the tables of several commands in one results folder.
    """

    results: Path
    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    corruptions: tuple[str, ...] = ("core",)
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    datasets: tuple[str, ...] = ()
    denoisers: tuple[str, ...] = ("none",)
    protocol: str = "pranet"
    engine: str = "fast"
    reference: str = "unet"
    seen: bool = False
    device: str = "auto"
    workers: int = 1
    data_root: Path | None = None
    cache_dir: Path | None = None
    checkpoints: tuple[Path, ...] = ()
    maps: dict[str, Path] = field(default_factory=dict)
    name: str = ""

    @property
    def protocols(self) -> dict[str, Protocol]:
        """The protocols to score, in one pass."""
        names = ("pranet", "half") if self.engine == "reference" else STANDARD
        return {name: get_protocol(name) for name in dict.fromkeys((*names, self.protocol))}


@dataclass(frozen=True)
class Source:
    """A finished cell and its test images.

    Attributes:
        record: Its record.
        paths: Its files.
        model_file: ``FILE.py:function`` where its network came from a file.
        items: Test set -> images, in the order of ids.
        checkpoint: The released checkpoint that it was scored with, for a cell of ``bench evaluate --checkpoint``.
        maps: Folder of maps on corrupted images, for a cell of ``bench evaluate --predictions``.
    """

    record: Record
    paths: CellPaths
    model_file: str | None
    items: dict[str, tuple[Item, ...]] = field(default_factory=dict)
    checkpoint: Path | None = None
    maps: Path | None = None


def find_sources(asked: Asked) -> list[Source]:
    """Choose finished cells and find the images that they were scored on.

    Raises:
        BenchError: No cell matches, a test set was not scored by a cell, or images are missing or changed.
    """
    layout = ResultsLayout(asked.results)
    chosen = _choose(asked, io.read_records(asked.results))
    datasets = _datasets(asked, [record for record, _ in chosen])
    sources = []
    for record, outside in chosen:
        paths = layout.cell(record.cell)
        items = {
            name: scored_items(record, name, paths, data_root=asked.data_root, cache_dir=asked.cache_dir)
            for name in datasets
        }
        is_maps = outside is not None and outside.is_dir()
        checkpoint, maps = (None, outside) if is_maps else (outside, None)
        sources.append(Source(record, paths, _file_of(record, asked.models), items, checkpoint, maps))
    return sources


def _choose(asked: Asked, records: Sequence[Record]) -> list[tuple[Record, Path | None]]:
    """The chosen records, with the checkpoint or the folder of maps of those that were not trained here."""
    outside = foreign_files(records, asked.checkpoints, asked.maps)
    finished = [
        record
        for record in records
        if record.status == "ok" and ((not record.origin and record.best_sha256) or record.cell in outside)
    ]
    for run in asked.runs:
        if not any(run in record.cell for record in finished):
            known = ", ".join(record.cell for record in finished) or "none"
            raise BenchError(f"--runs {run}: no finished cell with weights; {asked.results} holds {known}")
    for model in asked.models:
        if ".py:" not in model and all(record.model != model for record in finished):
            raise unknown_name("model among the finished cells", model, {record.model for record in finished})
    chosen = [
        (record, outside.get(record.cell))
        for record in finished
        if (not asked.runs or any(run in record.cell for run in asked.runs))
        and (not asked.models or record.model in asked.models or _file_of(record, asked.models))
    ]
    if not chosen:
        raise BenchError(f"{asked.results}: no finished cell with weights matches; run 'bench run' first")
    return chosen


def _file_of(record: Record, models: Sequence[str]) -> str | None:
    """The ``FILE.py:function`` among the models that a cell's network came from."""
    if not record.model.startswith("file:"):
        return None
    from benchmark.models.registry import get_spec

    return next((name for name in models if ".py:" in name and get_spec(name).name == record.model), None)


def _datasets(asked: Asked, chosen: Sequence[Record]) -> list[str]:
    common = [name for name in chosen[0].tests if all(name in record.tests for record in chosen)]
    for name in asked.datasets:
        lacking = next((record.cell for record in chosen if name not in record.tests), None)
        if lacking is not None:
            raise BenchError(f"--datasets {name}: {lacking} did not score it; all chosen cells scored {common}")
    if not common:
        raise BenchError("the chosen cells share no test set; choose with --runs, --models or --datasets")
    return list(asked.datasets) or common
