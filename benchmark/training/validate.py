"""Validation scores at training size: what picks the checkpoint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.data.pixels.pool import Pool
from benchmark.prediction.maps import predict_maps

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LEVELS = 256
SCORES = ("val_dice_half", "val_mdsc", "val_iou_mean")


@torch.no_grad()
def validate(model: nn.Module, recipe: Recipe, val_set: Pool, fabric: Fabric) -> dict[str, float]:
    """Score the validation images at training size.

    Returns:
        ``val_dice_half``: mean over images of Dice at 0.5; ``val_mdsc``: mean over images and the 256 thresholds of
        Dice, as mDSC but without min-max stretch; ``val_iou_mean``: mean over images of (IoU of the polyp + IoU of the
        background) / 2 at 0.5, LDNet's choice. All in [0, 1], higher is better; NaN where the network's output is.
    """
    columns: list[Tensor] = []
    for start in range(0, len(val_set), recipe.batch_size):
        images, masks = val_set.batch(np.arange(start, min(start + recipe.batch_size, len(val_set))))
        maps = predict_maps(model, recipe, images, fabric)
        if not torch.isfinite(maps).all():
            return dict.fromkeys(SCORES, math.nan)
        levels = (maps * 255).round().to(torch.int64).cpu()
        curve = dice_curve(levels, masks > 127)
        both = (_iou(levels >= 128, masks > 127) + _iou(levels < 128, masks <= 127)) / 2
        columns.append(torch.stack([curve[:, 128], curve.mean(1), both], 1))
    means = torch.cat(columns).mean(0).tolist()
    return dict(zip(SCORES, means, strict=True))


def _iou(predicted: Tensor, masks: Tensor) -> Tensor:
    """Per-image IoU of boolean (B, H, W) maps, float64; 1 where both are empty."""
    union = (predicted | masks).flatten(1).sum(1)
    return torch.where(union > 0, (predicted & masks).flatten(1).sum(1).double() / union.clamp_min(1), 1.0)


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
