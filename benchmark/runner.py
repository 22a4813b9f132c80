"""Cells -> run_cell -> record: each cell is trained once and scored on every test set."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmark.config import Recipe, derive_seed
from benchmark.data.cache import fingerprint, open_cache
from benchmark.data.datasets import dataset_info
from benchmark.data.items import Item
from benchmark.data.split_files import save_split
from benchmark.errors import BenchError
from benchmark.plan import Cell, IfExists, Study, subset
from benchmark.registry import build_model
from benchmark.store import io
from benchmark.store.layout import CellPaths
from benchmark.store.schema import Record, TestResult

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn

    from benchmark.data.pool import Pool, Subset
    from benchmark.train import Outcome


class Watcher(Protocol):
    """What a run tells whoever looks on."""

    def message(self, text: str) -> None: ...
    def cell_started(self, cell: Cell, number: int, total: int) -> None: ...
    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None: ...
    def epoch(self, row: dict[str, float]) -> None: ...
    def phase(self, text: str, done: int, total: int) -> None: ...
    def cell_finished(self, record: Record, *, kept: bool) -> None: ...


def run_study(study: Study, watcher: Watcher) -> list[Record]:
    """Run every cell in turn; one that fails is recorded and does not stop the others.

    Raises:
        BenchError: The disk is full or the results folder cannot be written: going on would lose work.
        KeyboardInterrupt: After the cell in hand was recorded as interrupted.
    """
    check_writable(study.layout.root)
    prepare(study, watcher)
    save_split(study.split, study.layout.splits / f"{study.split.name}-{study.info.fingerprint_train[:8]}.json")
    records = []
    for number, cell in enumerate(study.cells, start=1):
        watcher.cell_started(cell, number, len(study.cells))
        record, kept = run_cell(study, cell, watcher)
        watcher.cell_finished(record, kept=kept)
        records.append(record)
        gc.collect()
    return records


def prepare(study: Study, watcher: Watcher) -> None:
    """Try the device and decode every image that an unfinished cell needs, before anything is trained.

    Raises:
        BenchError: The device is not there, or an image or mask cannot be used; it is named.
    """
    todo = [cell for cell in study.cells if not _is_finished(study, cell)]
    for cell in todo:
        make_fabric(study.request.device, cell.recipe)
        for size in {cell.recipe.train_size, cell.recipe.image_size}:
            for items in study.universe.values():
                pixels(study, cell, items, size, watcher)


def _is_finished(study: Study, cell: Cell) -> bool:
    old = _old_record(study.layout.cell(cell.id), study.request.if_exists)
    return old is not None and old.status == "ok" and _covers(old, study)


def run_cell(study: Study, cell: Cell, watcher: Watcher) -> tuple[Record, bool]:
    """Train, predict and score one cell, or keep what is there.

    Returns:
        The record, and whether it was there before and is still good.
    """
    paths = study.layout.cell(cell.id)
    request = study.request
    old = _old_record(paths, request.if_exists)
    if old is not None and old.status == "ok" and _covers(old, study):
        return old, True
    if request.if_exists != "resume" and (old is None or old.status != "ok"):
        paths.last.unlink(missing_ok=True)
    draft = _draft(study, cell)
    try:
        record = _complete(study, cell, draft, old, watcher)
    except KeyboardInterrupt:
        io.write_record(paths, draft.model_copy(update={"status": "interrupted", "error": "stopped by the user"}))
        raise
    except (BenchError, OSError) as error:
        if _is_disk_trouble(error):
            raise
        record = draft.model_copy(update={"status": "failed", "error": str(error)})
    except Exception as error:
        watcher.message(traceback.format_exc())
        record = draft.model_copy(update={"status": "failed", "error": f"{type(error).__name__}: {error}"})
    io.write_record(paths, record)
    return record, False


def _complete(study: Study, cell: Cell, draft: Record, old: Record | None, watcher: Watcher) -> Record:
    """Train unless a finished checkpoint is there, then predict and score the test sets that are still missing."""
    import torch

    paths, recipe = study.layout.cell(cell.id), cell.recipe
    fabric = make_fabric(study.request.device, recipe)
    torch.manual_seed(derive_seed("init", cell.seed))
    trained = old is not None and old.status == "ok" and paths.best.is_file()
    model = build_cell_model(cell, pretrained=recipe.pretrained and not trained)
    facts: dict[str, Any] = {
        "num_params": sum(p.numel() for p in model.parameters()),
        "pretrained": dict(getattr(model, "weights_info", None) or {}),
        "environment": environment(fabric),
    }
    if trained:
        assert old is not None
        model.load_state_dict(torch.load(paths.best, map_location="cpu", weights_only=True))
        model.to(fabric.device)
        facts |= {key: getattr(old, key) for key in ("best_epoch", "val", "timing", "pretrained", "environment")}
    else:
        outcome = _train(study, cell, model, fabric, watcher)
        facts |= _training_facts(outcome, watcher, paths, model)
        if outcome.status != "ok":
            return draft.model_copy(update={**facts, "status": outcome.status, "error": outcome.error})
    tests, seconds = score_cell(study, cell, model, fabric, watcher)
    paths.last.unlink(missing_ok=True)
    timing = {**facts["timing"], **seconds}
    protocols = {name: _protocol_hash(name) for name in study.request.protocols}
    return draft.model_copy(update={**facts, "tests": tests, "timing": timing, "protocols": protocols, "status": "ok"})


def _train(study: Study, cell: Cell, model: nn.Module, fabric: Fabric, watcher: Watcher) -> Outcome:
    from benchmark.train import train

    recipe, split = cell.recipe, study.split
    data = (
        pool(study, cell, subset(split.train, recipe.max_train_images), recipe.train_size, watcher),
        pool(study, cell, subset(split.val, recipe.max_val_images), recipe.image_size, watcher),
    )
    last = study.layout.cell(cell.id).last
    return train(
        model,
        recipe,
        data,
        seed=cell.seed,
        fabric=fabric,
        last=last,
        on_step=watcher.step,
        on_epoch=watcher.epoch,
    )


def _training_facts(outcome: Outcome, watcher: Watcher, paths: CellPaths, model: nn.Module) -> dict[str, Any]:
    import pandas as pd

    from benchmark.train import save_atomic

    io.write_text(paths.history, pd.DataFrame(outcome.history).to_csv(index=False, float_format="%.10g"))
    if outcome.status == "ok":
        save_atomic(paths.best, model.state_dict())
    chosen = next((row for row in outcome.history if row["epoch"] == outcome.best_epoch), {})
    return {
        "best_epoch": outcome.best_epoch or None,
        "val": {key: value for key, value in chosen.items() if key.startswith("val_")},
        "timing": {"train_s": outcome.seconds, "images_per_s": outcome.images_per_s},
    }


def score_cell(
    study: Study, cell: Cell, model: nn.Module, fabric: Fabric, watcher: Watcher
) -> tuple[dict[str, TestResult], dict[str, float]]:
    """Predict and score every test set; per-image rows, curves and maps are written beside the record."""
    import pandas as pd

    from benchmark.evaluate import score_maps

    paths, recipe = study.layout.cell(cell.id), cell.recipe
    frames, curves, tests = [], {}, {}
    seconds = {"predict_s": 0.0, "score_s": 0.0}
    for name, items in study.split.tests.items():
        chosen = subset(items, recipe.max_test_images)
        begun = time.perf_counter()
        _predict(study, cell, model, fabric, name, chosen, watcher)
        middle = time.perf_counter()
        scored = score_maps(
            chosen,
            partial(_map_path, paths, name),
            dataset=name,
            protocols=study.request.protocols,
            engine=study.request.engine,
            cache_dir=study.request.cache_dir,
            progress=partial(watcher.phase, f"score {name}"),
        )
        seconds["predict_s"] += middle - begun
        seconds["score_s"] += time.perf_counter() - middle
        frames.append(scored.rows)
        curves.update(scored.curves)
        tests[name] = TestResult(
            title=dataset_info(name).title,
            n=len(chosen),
            of=len(items) if len(chosen) < len(items) else None,
            fingerprint=fingerprint(chosen),
            num_leaked=study.leaks.get(name, 0),
            scores=scored.summary,
        )
    if frames:
        io.write_parquet(paths.scores, pd.concat(frames, ignore_index=True))
        io.write_npz(paths.curves, curves)
    return tests, seconds


def _map_path(paths: CellPaths, dataset: str, item: Item) -> Path:
    return paths.map(dataset, item.id)


def _predict(
    study: Study,
    cell: Cell,
    model: nn.Module,
    fabric: Fabric,
    dataset: str,
    items: Sequence[Item],
    watcher: Watcher,
) -> None:
    import numpy as np

    from benchmark.data.decode import decode_mask
    from benchmark.predict import predict_at, save_map

    cached = pixels(study, cell, items, cell.recipe.image_size, watcher)
    paths = study.layout.cell(cell.id)
    step = cell.recipe.batch_size
    for start in range(0, len(items), step):
        part = items[start : start + step]
        images, _ = cached.batch(np.arange(start, start + len(part)))
        sizes = [decode_mask(item.mask_path).shape for item in part]
        maps = predict_at(model, cell.recipe, images, sizes, fabric)
        for item, prob in zip(part, maps, strict=True):
            save_map(paths.map(dataset, item.id), prob)
        watcher.phase(f"predict {dataset}", start + len(part), len(items))


def pool(study: Study, cell: Cell, items: Sequence[Item], size: int, watcher: Watcher) -> Pool:
    """The cached pixels of a list of items, dataset by dataset."""
    from benchmark.data.pool import Pool

    names = dict.fromkeys(item.dataset for item in items)
    return Pool([pixels(study, cell, [i for i in items if i.dataset == name], size, watcher) for name in names])


def pixels(study: Study, cell: Cell, items: Sequence[Item], size: int, watcher: Watcher) -> Subset:
    """The cached pixels of some images of one dataset; the cache holds all the dataset's images and is built once."""
    import numpy as np

    from benchmark.data.pool import Subset

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
    return Subset(cache, np.array([row[item.id] for item in items]), tuple(item.id for item in items))


def make_fabric(device: str, recipe: Recipe) -> Fabric:
    """Launch Lightning Fabric on ``auto``, ``cpu``, ``cuda`` or ``cuda:<k>``."""
    from lightning_fabric import Fabric

    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise BenchError(f"--device {device}: expected auto, cpu, cuda, cuda:<k> or mps")
    try:
        fabric = Fabric(accelerator=kind, devices=[int(index)] if index else 1, precision=recipe.precision)
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise BenchError(
            f"--device {device}: not available here ({str(error).splitlines()[0]}); try --device cpu"
        ) from None
    return fabric


def build_cell_model(cell: Cell, *, pretrained: bool) -> nn.Module:
    """Build a cell's network, on the CPU."""
    options = dict(cell.recipe.model_options)
    if cell.spec.takes_encoder and cell.recipe.encoder:
        options["encoder"] = cell.recipe.encoder
    if cell.ablation:
        options["drop"] = cell.ablation
    return build_model(cell.spec, pretrained=pretrained, **options)


def check_writable(folder: Path) -> None:
    """Refuse a results folder that cannot be written before anything is trained."""
    io.write_text(folder / ".bench", "results of polyp-bench\n")


def _old_record(paths: CellPaths, if_exists: IfExists) -> Record | None:
    if if_exists == "overwrite" or not paths.record.is_file():
        return None
    return io.read_record(paths.record)


def _covers(old: Record, study: Study) -> bool:
    """Whether every test set and protocol asked for has been scored already."""
    return set(study.split.tests) <= set(old.tests) and set(study.request.protocols) <= set(old.protocols)


def _draft(study: Study, cell: Cell) -> Record:
    return Record(
        cell=cell.id,
        model=cell.spec.name,
        model_title=cell.spec.title,
        model_options=cell.spec.options,
        ablation=list(cell.ablation),
        recipe_name=cell.recipe.name,
        recipe=cell.recipe.model_dump(mode="json"),
        recipe_hash=cell.recipe.hash,
        split=study.info,
        seed=cell.seed,
        status="failed",
        synthetic=study.synthetic,
        missing=dict(study.split.missing),
        partial=dict(study.split.partial),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def environment(fabric: Fabric) -> dict[str, Any]:
    """Describe what a record ran on."""
    from benchmark import env

    return env.describe(str(fabric.device))


def _protocol_hash(name: str) -> str:
    from benchmark.metrics import get_protocol

    return get_protocol(name).hash


def _is_disk_trouble(error: Exception) -> bool:
    return isinstance(error, OSError) or isinstance(error.__cause__, OSError)
