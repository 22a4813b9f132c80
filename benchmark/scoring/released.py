"""Score released checkpoints with their authors' test-time processing; they become ordinary records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.config import config_hash
from benchmark.data.pixels.shared import SharedPixels
from benchmark.errors import BenchError
from benchmark.models.build import build_network, run_environment
from benchmark.models.registry import get_spec, load_checkpoint
from benchmark.recipes.read import load_recipe
from benchmark.runtime.device import make_fabric
from benchmark.scoring.map_records import TestSet, make_record
from benchmark.scoring.test_sets import score_network
from benchmark.store import io
from benchmark.store.layout import ResultsLayout, cell_id
from benchmark.store.schema import Record
from benchmark.study.images import TestImages, subset
from benchmark.study.plan import Request
from benchmark.study.scoring import Scoring

if TYPE_CHECKING:
    from benchmark.study.events import Events


def evaluate_checkpoint(
    model: str,
    checkpoint: Path,
    sets: Sequence[TestSet],
    *,
    request: Request,
    events: Events,
    name: str | None = None,
    key: str | None = None,
    strip_prefix: str | None = None,
) -> Record:
    """Score a released checkpoint with its authors' test-time processing (recipe ``native`` by default).

    ``key`` and ``strip_prefix`` say which of several sets of weights in the file are meant; see ``load_checkpoint``.

    Raises:
        BenchError: The file is missing, is not a plain tensor file, or its keys or shapes differ from the model's.
    """
    spec = get_spec(model)
    overrides = {**request.overrides, "pretrained": False}
    recipe = load_recipe(request.recipe, model=spec.name, overrides=overrides)
    if not checkpoint.is_file():
        raise BenchError(f"--checkpoint {checkpoint}: not found; give the file that the authors released")
    fabric = make_fabric(request.device, recipe)
    network = build_network(spec, recipe, pretrained=False)
    weights = load_checkpoint(spec, network, checkpoint, key=key, strip_prefix=strip_prefix, say=events.notice)
    network.to(fabric.device)
    told = {"name": name, "key": key, "strip_prefix": strip_prefix}
    named = {what: value for what, value in told.items() if value is not None}  # two names are two records
    config = config_hash({"model": spec.name, "recipe": recipe.hash, "weights": weights["sha256"], **named})
    cell = cell_id(spec.name, ablation=(), recipe="checkpoint", config=config, seed=0)
    layout = ResultsLayout(request.results)
    limit = recipe.max_test_images
    tests, timing = score_network(
        network,
        recipe,
        {one.name: TestImages(subset(one.items, limit), one.of) for one in sets},
        fabric=fabric,
        pixels=SharedPixels((item for one in sets for item in one.items), request.cache_dir),
        scoring=request.scoring,
        paths=layout.cell(cell),
        events=events,
        old=scored_alike(layout, cell, request.scoring),
    )
    record = make_record(
        cell,
        spec.name,
        name or spec.title,
        list(request.protocols.values()),
        tests,
        engine=request.engine,
        origin=f"checkpoint {checkpoint.name}",
        weights=weights,
    ).model_copy(
        update={
            "recipe": recipe.to_record(),
            "timing": timing,
            "environment": run_environment(fabric, spec),
        }
    )
    io.mark(layout.root)
    io.write_record(layout.cell(cell), record)
    return record


def scored_alike(layout: ResultsLayout, cell: str, scoring: Scoring) -> Record | None:
    """The record of a cell, if it was scored by the same engine under the same protocols."""
    path = layout.cell(cell).record
    if not path.is_file():
        return None
    old = io.read_record(path)
    return old if (old.engine, old.protocols) == (scoring.engine, scoring.hashes) else None
