"""Order of the cells: the longest first, so that no worker is left alone with a long one at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.costs.formula import in_training_images
from benchmark.costs.profile import count_macs
from benchmark.costs.time_ahead import study_work
from benchmark.models.build import build_network

if TYPE_CHECKING:
    from benchmark.study.cells import Cell
    from benchmark.study.plan import Study


def longest_first(study: Study, cells: Sequence[Cell]) -> list[Cell]:
    """Sort by multiply-adds over all the images that a cell sees (``costs.formula``); equal ones keep their order."""
    costs: dict[tuple[object, ...], float] = {}
    for cell in cells:
        if _kind(cell) not in costs:
            costs[_kind(cell)] = _macs_per_image(cell) * in_training_images(study_work(study, cell))
    return sorted(cells, key=lambda cell: -costs[_kind(cell)])


def _kind(cell: Cell) -> tuple[object, ...]:
    return cell.spec.name, cell.ablation, cell.recipe.hash


def _macs_per_image(cell: Cell) -> float:
    import torch

    side = cell.recipe.image_size
    try:
        model = build_network(cell.spec, cell.recipe, drop=cell.ablation, pretrained=False).eval()
        with torch.no_grad():
            return count_macs(model, torch.zeros(1, 3, side, side))
    except Exception:  # the runner reports it; first in line, it does so early
        return math.inf
