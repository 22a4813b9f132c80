"""A cell's network on the test sets: device, network, maps, scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lightning_fabric import Fabric

from benchmark.data.audit.leaks import leak_facts
from benchmark.data.files.read_item import mask_shape
from benchmark.data.listing.datasets import dataset_info
from benchmark.data.listing.items import Item
from benchmark.data.pixels.cache import fingerprint
from benchmark.prediction.maps import predict_at, save_map
from benchmark.report.figures.worst_images import draw_worst
from benchmark.scoring.score_maps import score_maps
from benchmark.store import io
from benchmark.store.layout import CellPaths
from benchmark.store.schema import Record, TestResult
from benchmark.study.events import Watcher
from benchmark.study.pixels import pixels
from benchmark.study.plan import Cell, Study, subset

if TYPE_CHECKING:
    from torch import nn


def score_cell(
    study: Study, cell: Cell, model: nn.Module, fabric: Fabric, watcher: Watcher, *, old: Record | None = None
) -> tuple[dict[str, TestResult], dict[str, float]]:
    """Predict and score every test set; per-image rows, curves and maps are written beside the record.

    Scores of test sets that ``old`` holds and nobody asked for now are kept.
    """
    import pandas as pd

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
            protocols=list(study.request.protocols.values()),
            engine=study.request.engine,
            cache_dir=study.request.cache_dir,
            progress=partial(watcher.phase, f"score {name}"),
        )
        draw_worst(paths.worst(name), scored.rows, chosen, partial(_map_path, paths, name))
        seconds["predict_s"] += middle - begun
        seconds["score_s"] += time.perf_counter() - middle
        frames.append(scored.rows)
        curves.update(scored.curves)
        tests[name] = TestResult(
            title=dataset_info(name).title,
            n=len(chosen),
            of=len(items) if len(chosen) < len(items) else None,
            fingerprint=fingerprint(chosen),
            **leak_facts(study.leaks.get(name, ()), chosen),
            scores=scored.summary,
        )
    if old is not None:
        others = {name: result for name, result in old.tests.items() if name not in tests}
        if others:
            rows = io.read_scores(paths.scores)
            frames.append(rows[rows["dataset"].isin(list(others))])
            curves.update({k: v for k, v in io.read_npz(paths.curves).items() if k.split("/")[1] in others})
        tests = {**others, **tests}
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
    cached = pixels(study, cell, items, cell.recipe.image_size, watcher)
    paths = study.layout.cell(cell.id)
    step = cell.recipe.batch_size
    for start in range(0, len(items), step):
        part = items[start : start + step]
        images, _ = cached.batch(np.arange(start, start + len(part)))
        sizes = [mask_shape(item) for item in part]
        maps = predict_at(model, cell.recipe, images, sizes, fabric)
        for item, prob in zip(part, maps, strict=True):
            save_map(paths.map(dataset, item.id), prob)
        watcher.phase(f"predict {dataset}", start + len(part), len(items))
