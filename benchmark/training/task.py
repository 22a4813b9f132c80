"""The task of a training: how a batch is made and scored. Segmentation is one; ``bench denoise`` has another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.training.batches import Batches
from benchmark.training.validate import baseline_dice, validate

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn

    from benchmark.config import Recipe
    from benchmark.data.pixels.pool import Pool
    from benchmark.training.resident import Resident


@dataclass(frozen=True)
class Task:
    """A task of the training loop.

    Attributes:
        name: For messages.
        validate: Validation scores by name; higher is better for the one that selects.
        baseline: Scores of a trivial network, added to each row of the history.
        metric: Recipe -> name of the score that selects the checkpoint.
        batches: Makes input and target; for segmentation augmented images and their masks.
    """

    name: str
    validate: Callable[[nn.Module, Recipe, Pool | Resident, Fabric], dict[str, float]]
    baseline: Callable[[Pool], dict[str, float]]
    metric: Callable[[Recipe], str]
    batches: type[Batches] = Batches


SEGMENTATION = Task("segmentation", validate, baseline_dice, lambda recipe: recipe.select_metric)
