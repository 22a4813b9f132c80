"""Score released checkpoints with their authors' test-time processing; they become ordinary records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.config import config_hash, load_recipe
from benchmark.errors import BenchError
from benchmark.models.build import build_network, run_environment
from benchmark.models.registry import get_spec, load_checkpoint
from benchmark.runtime.device import make_fabric
from benchmark.scoring.map_records import TestSet, make_record
from benchmark.scoring.test_sets import score_cell
from benchmark.store import io
from benchmark.store.layout import ResultsLayout, cell_id
from benchmark.store.schema import Record
from benchmark.study.plan import Cell, Request, Study

if TYPE_CHECKING:
    from benchmark.study.events import Watcher


def evaluate_checkpoint(
    model: str,
    checkpoint: Path,
    sets: Sequence[TestSet],
    *,
    request: Request,
    watcher: Watcher,
) -> Record:
    """Score a released checkpoint with its authors' test-time processing (recipe ``native`` unless told otherwise).

    Raises:
        BenchError: The file is missing, is no plain tensor file, or its keys or shapes are not the model's.
    """
    spec = get_spec(model)
    overrides = {**request.overrides, "pretrained": False}
    recipe = load_recipe(request.recipe, model=spec.name, overrides=overrides)
    if not checkpoint.is_file():
        raise BenchError(f"--checkpoint {checkpoint}: not found; give the file that the authors released")
    fabric = make_fabric(request.device, recipe)
    draft = Cell("", spec, recipe, seed=0)
    network = build_network(draft.spec, draft.recipe, drop=draft.ablation, pretrained=False)
    weights = load_checkpoint(spec, network, checkpoint, say=watcher.message)
    network.to(fabric.device)
    config = config_hash({"model": spec.name, "recipe": recipe.hash, "weights": weights["sha256"]})
    cell = Cell(cell_id(spec.name, ablation=(), recipe="checkpoint", config=config, seed=0), spec, recipe, seed=0)
    layout = ResultsLayout(request.results)
    study = Study.of_tests(request, cell, {one.name: one.items for one in sets})
    tests, timing = score_cell(study, cell, network, fabric, watcher, old=_scored_alike(layout, cell.id, request))
    wholes = {one.name: one.of for one in sets}
    for key, whole in wholes.items():
        if tests[key].n < whole:
            tests[key] = tests[key].model_copy(update={"of": whole})
    record = make_record(
        cell.id,
        spec.name,
        spec.title,
        list(request.protocols.values()),
        tests,
        engine=request.engine,
        origin=f"checkpoint {checkpoint.name}",
        weights=weights,
    ).model_copy(
        update={
            "recipe": recipe.model_dump(mode="json"),
            "timing": timing,
            "environment": run_environment(fabric, spec),
        }
    )
    io.mark(layout.root)
    io.write_record(layout.cell(cell.id), record)
    return record


def _scored_alike(layout: ResultsLayout, cell: str, request: Request) -> Record | None:
    """The record of a cell, if it was scored by the same engine under the same protocols."""
    path = layout.cell(cell).record
    if not path.is_file():
        return None
    old = io.read_record(path)
    return old if (old.engine, old.protocols) == (request.engine, request.protocol_hashes) else None
