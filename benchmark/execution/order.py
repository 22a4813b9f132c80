"""Which cell first: the longest, so that no worker is left alone with one at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.costs.profile import count_macs
from benchmark.models.build import build_network

if TYPE_CHECKING:
    from benchmark.study.plan import Cell


def longest_first(cells: Sequence[Cell]) -> list[Cell]:
    """Sort by multiply-adds of a training: those of one image, by epochs and scales; equal ones keep their order."""
    costs: dict[tuple[object, ...], float] = {}
    for cell in cells:
        if _kind(cell) not in costs:
            costs[_kind(cell)] = _cost(cell)
    return sorted(cells, key=lambda cell: -costs[_kind(cell)])


def _kind(cell: Cell) -> tuple[object, ...]:
    return cell.spec.name, cell.ablation, cell.recipe.hash


def _cost(cell: Cell) -> float:
    import torch

    recipe = cell.recipe
    try:
        model = build_network(cell.spec, cell.recipe, drop=cell.ablation, pretrained=False).eval()
        with torch.no_grad():
            macs = count_macs(model, torch.zeros(1, 3, recipe.image_size, recipe.image_size))
    except Exception:  # the runner's to report, and the sooner the better
        return math.inf
    images = recipe.max_train_images or 1e4
    return macs * recipe.epochs * images * (len(recipe.scales) if recipe.multi_scale == "each" else 1)
