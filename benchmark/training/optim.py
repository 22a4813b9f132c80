"""Optimisers and learning-rate schedules of the recipes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from benchmark.config import Recipe
from benchmark.errors import BenchError


def make_optimizer(model: nn.Module, recipe: Recipe, *, fused: bool = False) -> torch.optim.Optimizer:
    """Build the recipe's optimiser, with the encoder's rate scaled where the recipe says so.

    Args:
        model: Its parameters.
        recipe: Settings.
        fused: One kernel for all parameters, which with a loss scaler decides on the device whether to skip.
    """
    kernels: dict[str, Any] = {"fused": True} if fused else {}
    groups: list[dict[str, Any]] = []
    encoder = {id(p) for p in _encoder_parameters(model)} if recipe.encoder_lr_scale != 1 else set()
    rest = [p for p in model.parameters() if id(p) not in encoder]
    groups.append({"params": rest, "scale": 1.0})
    if encoder:
        groups.append({"params": [p for p in model.parameters() if id(p) in encoder], "scale": recipe.encoder_lr_scale})
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
            **kernels,
        )
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, **kernels)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Return the rate after ``progress`` epochs (fractional, 0 at the start)."""
    if progress < recipe.warmup_epochs:
        if recipe.warmup_by == "epoch":
            return recipe.lr * math.floor(progress) / recipe.warmup_epochs
        return recipe.lr * (progress + 1e-3) / recipe.warmup_epochs
    if recipe.schedule == "cosine":
        done = (progress - recipe.warmup_epochs) / max(recipe.epochs - recipe.warmup_epochs, 1e-9)
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    if recipe.schedule == "poly":
        return recipe.lr * (1 - math.floor(progress) / recipe.epochs) ** recipe.poly_power
    if recipe.schedule == "step":
        return recipe.lr * recipe.step_factor ** sum(progress >= start - 1 for start in recipe.step_epochs)
    return recipe.lr


def plateau_rate(recipe: Recipe, scores: Sequence[float]) -> float:
    """Return the rate after the epochs with these validation scores, by torch's ``ReduceLROnPlateau``.

    Args:
        recipe: Its ``step_factor`` applies when ``plateau_epochs`` in a row did not beat the best by a ten-thousandth
            of it, and the count starts again; ``min_lr`` is the floor.
        scores: One per finished epoch; higher is better.
    """
    optimizer = torch.optim.SGD([torch.zeros(())], lr=recipe.lr)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max", factor=recipe.step_factor, patience=recipe.plateau_epochs, min_lr=recipe.min_lr
    )
    for score in scores:
        scheduler.step(score)
    return float(optimizer.param_groups[0]["lr"])


def set_lr(optimizer: torch.optim.Optimizer, recipe: Recipe, progress: float, *, plateau: float | None = None) -> None:
    """Set every group's rate for this step; ``plateau`` is what ``plateau_rate`` gave for this epoch."""
    rate = learning_rate(recipe, progress) if plateau is None else plateau
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def _encoder_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    for name in ("encoder", "resnet", "bkbone", "backbone"):
        part = getattr(model, name, None)
        if isinstance(part, nn.Module):
            return part.parameters()
    raise BenchError("encoder_lr_scale: this model names no encoder; leave the field at 1.0")
