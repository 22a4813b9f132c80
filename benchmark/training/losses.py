"""Map losses by name, and how a model's outputs meet one of them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

Criterion = Callable[[Tensor, Tensor], Tensor]
Loss = Callable[[Any, Tensor], Tensor]
"""From what a network's ``forward`` returned and its masks, (B, 1, H, W) in [0, 1], to a scalar."""

CRITERIA: dict[str, str] = {
    "bce_dice": "baselines.losses:bce_dice",
    "bce": "baselines.losses:bce",
    "dice": "baselines.losses:dice",
    "structure": "baselines.losses:structure_loss",
}


def get_criterion(name: str) -> Criterion | None:
    """Return the map loss of a recipe: (logits, mask) -> scalar; None for ``native``, the model's own loss."""
    if name == "native":
        return None
    module, _, function = CRITERIA[name].partition(":")
    return getattr(importlib.import_module(module), function)


def make_loss(model: nn.Module, criterion: Criterion | None) -> Loss:
    """Return the loss of a training, looked up once: nothing is imported or inspected in a step.

    Args:
        model: A model of the registry; its ``loss(outputs, mask, criterion=...)`` is used where it has one.
        criterion: The recipe's map loss, or None for the model's own.
    """
    own = getattr(model, "loss", None)
    if own is None:
        return partial(_mean_over_maps, criterion=criterion or F.binary_cross_entropy_with_logits)
    if criterion is None:
        return own
    if "criterion" in inspect.signature(own).parameters:
        return partial(own, criterion=criterion)
    return partial(_mean_over_maps, criterion=criterion)


def _mean_over_maps(outputs: Any, mask: Tensor, *, criterion: Criterion) -> Tensor:
    maps = [outputs] if isinstance(outputs, Tensor) else [m for m in outputs if m.dim() == 4 and m.shape[1] == 1]
    full = [F.interpolate(m, mask.shape[-2:], mode="bilinear", align_corners=False) for m in maps]
    return sum((criterion(m, mask) for m in full), start=mask.new_zeros(())) / len(full)
