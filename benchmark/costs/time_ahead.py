"""Expected duration of a plan, from a few timed steps of each of its models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.costs.formula import Work, cell_work, in_training_images
from benchmark.costs.training_step import affordable_batch, measure_step
from benchmark.models.build import build_network
from benchmark.runtime.device import make_fabric
from benchmark.runtime.memory import give_back
from benchmark.study.cells import Cell
from benchmark.study.plan import Study


@dataclass(frozen=True)
class Estimate:
    """Seconds for one cell of a model and for the whole plan."""

    per_model: dict[str, float]
    total_s: float


def estimate(study: Study, cells: Sequence[Cell]) -> Estimate:
    """Time forward + backward of each model on random pixels and scale to the images and epochs of some cells.

    Validation and test images count as a third of a training image each (no backward pass). Cells that differ only
    in seed or ablation are taken to cost the same; a model that fails here is left out.
    """
    per_model: dict[str, float] = {}
    for cell in cells:
        if cell.spec.name not in per_model:
            images = in_training_images(study_work(study, cell))
            try:
                per_model[cell.spec.name] = seconds_per_image(study, cell) * images
            except Exception:  # the runner reports a model that cannot run; it must not stop the others
                per_model[cell.spec.name] = 0.0
    give_back()  # with --workers this process only hands out cells: nothing of its timing may stay on a card
    return Estimate(per_model, sum(per_model[cell.spec.name] for cell in cells))


def seconds_per_image(study: Study, cell: Cell) -> float:
    """Median seconds per image of a training step, after one step of warm-up."""
    fabric = make_fabric(study.request.device, cell.recipe)
    model = build_network(cell.spec, cell.recipe, drop=cell.ablation, pretrained=False)
    batch = affordable_batch(cell.recipe.batch_size, fabric.device)
    return measure_step(model, fabric, side=cell.recipe.image_size, batch=batch, loss=cell.recipe.loss).seconds


def as_text(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.4 h``."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def study_work(study: Study, cell: Cell) -> Work:
    """Count the images that a cell of a study sees."""
    split = study.split
    tests = {name: len(items) for name, items in split.tests.items()}
    return cell_work(cell.recipe, train=len(split.train), val=len(split.val), tests=tests)
