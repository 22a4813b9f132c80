"""Validation scores at training size: what picks the checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.data.pool import Pool
from benchmark.predict import predict_maps

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LEVELS = 256


@torch.no_grad()
def validate(model: nn.Module, recipe: Recipe, val_set: Pool, fabric: Fabric) -> dict[str, float]:
    """Score the validation images at training size.

    Returns:
        ``val_dice_half``: mean over images of Dice at 0.5; ``val_mdsc``: mean over images and the 256 thresholds of
        Dice, as mDSC but without min-max stretch. Both in [0, 1], higher is better.
    """
    halves: list[Tensor] = []
    means: list[Tensor] = []
    for start in range(0, len(val_set), recipe.batch_size):
        images, masks = val_set.batch(np.arange(start, min(start + recipe.batch_size, len(val_set))))
        maps = predict_maps(model, recipe, images, fabric)
        curve = dice_curve((maps * 255).floor().to(torch.int64).cpu(), masks > 127)
        halves.append(curve[:, 128])
        means.append(curve.mean(1))
    return {"val_dice_half": float(torch.cat(halves).mean()), "val_mdsc": float(torch.cat(means).mean())}


def dice_curve(levels: Tensor, masks: Tensor) -> Tensor:
    """Dice at every threshold k = 0..255 of 8-bit maps: (B, H, W) levels and boolean masks -> (B, 256) float64."""
    count = len(levels)
    offset = torch.arange(count).view(-1, 1) * _LEVELS
    flat = levels.view(count, -1) + offset
    everything = torch.bincount(flat.flatten(), minlength=count * _LEVELS).view(count, _LEVELS)
    inside = torch.bincount(flat[masks.view(count, -1)], minlength=count * _LEVELS).view(count, _LEVELS)
    predicted = everything.flip(1).cumsum(1).flip(1).double()
    hits = inside.flip(1).cumsum(1).flip(1).double()
    return 2 * hits / (predicted + masks.view(count, -1).sum(1, keepdim=True)).clamp_min(1)


def baseline_dice(val_set: Pool) -> dict[str, float]:
    """Dice of a map that calls everything foreground: what any trained model has to beat."""
    scores = []
    for position in range(len(val_set)):
        _, mask = val_set.batch(np.array([position]))
        share = float((mask > 127).float().mean())
        scores.append(2 * share / (1 + share))
    return {"val_dice_all_foreground": float(np.mean(scores))}
