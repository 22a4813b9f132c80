"""Map losses by name or from a user's file, and their application to a model's outputs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.config import Recipe
from benchmark.models.user_files import named_function

Criterion = Callable[[Tensor, Tensor], Tensor]
Loss = Callable[[Any, Tensor], Tensor]
"""From what a network's ``forward`` returned and its masks, (B, 1, H, W) in [0, 1], to a scalar."""

CRITERIA: dict[str, str] = {
    "bce_dice": "baselines.losses:bce_dice",
    "bce": "baselines.losses:bce",
    "dice": "baselines.losses:dice",
    "structure": "baselines.losses:structure_loss",
}


def recipe_criterion(recipe: Recipe) -> Criterion | None:
    """Return the map loss of a recipe with its parameters; see ``get_criterion``."""
    return get_criterion(recipe.loss, focal_alpha=recipe.focal_alpha, focal_gamma=recipe.focal_gamma)


def get_criterion(name: str, *, focal_alpha: float = 0.25, focal_gamma: float = 2.0) -> Criterion | None:
    """Return a map loss by name: (logits, mask) -> scalar; None for ``native``, the model's own loss.

    Args:
        name: One of ``config.LOSSES``, or FILE.py:function.
        focal_alpha: Weight of the foreground in ``focal``; 1 - this of the background.
        focal_gamma: Exponent in ``focal``.
    Raises:
        BenchError: A file or a function that does not exist.
    """
    if name == "native":
        return None
    if ".py:" in name:
        return named_function(name, what="loss")
    if name == "focal":
        return partial(focal, alpha=focal_alpha, gamma=focal_gamma)
    module, _, function = CRITERIA[name].partition(":")
    return getattr(importlib.import_module(module), function)


def focal(logits: Tensor, mask: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """Focal loss averaged over pixels, by torchvision, in 32 bits.

    Args:
        logits: (B, 1, H, W).
        mask: (B, 1, H, W) in [0, 1].
        alpha: Weight of the foreground; 1 - ``alpha`` of the background.
        gamma: Exponent of 1 - the probability of what is true; 0 leaves a weighted cross entropy.
    Returns:
        Scalar >= 0.
    Source: Lin et al., Focal Loss for Dense Object Detection (ICCV 2017), equation 5.
    """
    from torchvision.ops import sigmoid_focal_loss

    return sigmoid_focal_loss(logits.float(), mask.float(), alpha=alpha, gamma=gamma, reduction="mean")


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
