"""Optimisers and learning-rate schedules of the recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.models.groups import parameter_groups


def make_optimizer(model: nn.Module, recipe: Recipe, *, fused: bool = False) -> torch.optim.Optimizer:
    """Build the recipe's optimiser, with the rates of named groups scaled and warmed up where the recipe says so.

    Args:
        model: Its parameters.
        recipe: Settings.
        fused: One kernel for all parameters, which with a loss scaler decides on the device whether to skip.
    """
    kernels: dict[str, Any] = {"fused": True} if fused else {}
    named = lr_groups(model, recipe)
    apart = {id(p) for group in named for p in group["params"]}
    rest = {"params": [p for p in model.parameters() if id(p) not in apart], "scale": 1.0, "warmup": 0.0}
    groups = [rest, *(group for group in named if group["params"])]
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
        warmup = group.get("warmup", 0.0)  # checkpoints of older versions have none
        risen = (progress + 1e-3) / warmup if progress < warmup else 1.0
        group["lr"] = rate * group["scale"] * risen


def lr_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the groups of parameters that a recipe names: ``params``, ``scale`` and ``warmup`` of each.

    A model declares groups by ``parameter_groups()``, name -> parameters; a group may be empty, as where an ablation
    leaves its part out. ``encoder`` is known for every model that has one.

    Raises:
        BenchError: A name that the model does not declare, or a parameter in two of the groups.
    """
    factors = dict(recipe.lr_factors)
    if recipe.encoder_lr_scale != 1:
        if "encoder" in factors:
            raise BenchError("encoder_lr_scale and lr_factors.encoder set the same rate; leave one out")
        factors["encoder"] = recipe.encoder_lr_scale
    names = dict.fromkeys([*factors, *recipe.lr_warmups])
    if not names:
        return []
    known, groups = parameter_groups(model), []
    taken: dict[int, str] = {}
    for name in names:
        if name not in known:
            raise BenchError(_no_group(name, known, recipe))
        held = {id(p) for p in known[name]}
        if shared := next((taken[one] for one in held if one in taken), ""):
            raise BenchError(f"lr_factors, lr_warmups: groups {shared} and {name} share parameters; leave one out")
        taken |= dict.fromkeys(held, name)
        params = [p for p in model.parameters() if id(p) in held]
        groups.append({"params": params, "scale": factors.get(name, 1.0), "warmup": recipe.lr_warmups.get(name, 0.0)})
    return groups


def _no_group(name: str, known: Mapping[str, Any], recipe: Recipe) -> str:
    if name == "encoder" and "encoder" not in recipe.lr_factors and "encoder" not in recipe.lr_warmups:
        return "encoder_lr_scale: this model has no named encoder; leave the field at 1.0"
    groups = f"its groups are {', '.join(known)}" if known else "it declares none"
    return f"lr_factors, lr_warmups: this model has no group of parameters {name!r}; {groups}"
