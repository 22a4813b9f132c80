"""Map losses by name, and how a model's outputs meet one of them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

Criterion = Callable[[Tensor, Tensor], Tensor]

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


def training_loss(model: nn.Module, outputs: Any, mask: Tensor, criterion: Criterion | None) -> Tensor:
    """Loss of one forward pass.

    Args:
        model: A model of the registry; its ``loss(outputs, mask, criterion=...)`` is used where it has one.
        outputs: What ``forward`` returned: a tuple of logits.
        mask: (B, 1, H, W) in [0, 1].
        criterion: The recipe's map loss, or None for the model's own.
    Returns:
        Scalar.
    """
    own = getattr(model, "loss", None)
    if own is None:
        return _mean_over_maps(outputs, mask, criterion or F.binary_cross_entropy_with_logits)
    if criterion is None:
        return own(outputs, mask)
    if "criterion" in inspect.signature(own).parameters:
        return own(outputs, mask, criterion=criterion)
    return _mean_over_maps(outputs, mask, criterion)


def _mean_over_maps(outputs: Any, mask: Tensor, criterion: Criterion) -> Tensor:
    maps = [outputs] if isinstance(outputs, Tensor) else [m for m in outputs if m.dim() == 4 and m.shape[1] == 1]
    full = [F.interpolate(m, mask.shape[-2:], mode="bilinear", align_corners=False) for m in maps]
    return sum((criterion(m, mask) for m in full), start=mask.new_zeros(())) / len(full)
