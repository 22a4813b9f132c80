"""Validation scores at training size, which select the checkpoint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.data.pixels.pool import Pool
from benchmark.prediction.maps import predict_maps
from benchmark.runtime.memory import is_out_of_memory
from benchmark.training.resident import Resident

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LEVELS = 256
_PASSES_AT_ONCE = 4
"""A pass without gradients takes about a quarter of the memory of one with them."""
SCORES = ("val_dice_half", "val_mdsc", "val_iou_mean")


def validate(model: nn.Module, recipe: Recipe, val_set: Pool | Resident, fabric: Fabric) -> dict[str, float]:
    """Score the images that select the checkpoint at training size, on the device; three numbers per image return.

    Where they are of several test sets (``select = "test:A+B"``), a score is the mean of the sets' means.

    A network may leave it to these images whether a part is used in prediction: its ``validated_switches()`` returns
    buffers by part, and each is set to 1 if the recipe's ``select_metric`` is higher with the part, else to 0.

    Returns:
        ``val_dice_half``: mean over images of Dice at 0.5; ``val_mdsc``: mean over images and the 256 thresholds of
        Dice, as mDSC but without min-max stretch; ``val_iou_mean``: mean over images of (IoU of the polyp + IoU of the
        background) / 2 at 0.5, LDNet's choice. All in [0, 1], higher is better; NaN where the network's output is.
    """
    switches = switches_of(model)
    for flag in switches.values():
        flag.fill_(0)
    scores = _validate(model, recipe, val_set, fabric)
    for flag in switches.values():
        flag.fill_(1)
        with_part = _validate(model, recipe, val_set, fabric)
        if not with_part[recipe.select_metric] <= scores[recipe.select_metric]:  # NaN counts as with, and is reported
            scores = with_part
        else:
            flag.fill_(0)
    return scores


def switches_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the buffers that validation sets, by part; {} for a network that has none."""
    named = getattr(model, "validated_switches", None)
    return named() if callable(named) else {}


@torch.no_grad()
def _validate(model: nn.Module, recipe: Recipe, val_set: Pool | Resident, fabric: Fabric) -> dict[str, float]:
    device = fabric.device
    columns: list[Tensor] = []
    finite: list[Tensor] = []
    start, step = 0, recipe.batch_size if device.type == "cpu" else _PASSES_AT_ONCE * _pass_size(recipe)
    while start < len(val_set):
        images, masks = val_set.batch(np.arange(start, min(start + step, len(val_set))))
        try:
            maps = predict_maps(model, recipe, images, fabric)
            columns.append(_scores(maps, masks.to(device, non_blocking=True) > 127))
        except RuntimeError as error:
            if not is_out_of_memory(error) or step == 1:
                raise
            step = (step + 1) // 2
            continue
        finite.append(maps.isfinite().all())
        start += step
    found = torch.cat(columns).cpu()
    if not torch.stack(finite).all():
        return dict.fromkeys(SCORES, math.nan)
    parts = found.split(val_set.sizes) if recipe.test_selection else (found,)
    return dict(zip(SCORES, torch.stack([part.mean(0) for part in parts]).mean(0).tolist(), strict=True))


def _pass_size(recipe: Recipe) -> int:
    return min(recipe.batch_size, recipe.micro_batch or recipe.batch_size)


def _scores(maps: Tensor, masks: Tensor) -> Tensor:
    """The three scores of each image, (B, 3) float64, from maps (B, H, W) in [0, 1] and boolean masks."""
    levels = (maps.nan_to_num(0.0) * 255).round().to(torch.int64)
    curve = dice_curve(levels, masks)
    both = (_iou(levels >= 128, masks) + _iou(levels < 128, ~masks)) / 2
    return torch.stack([curve[:, 128], curve.mean(1), both], 1)


def _iou(predicted: Tensor, masks: Tensor) -> Tensor:
    """Per-image IoU of boolean (B, H, W) maps, float64; 1 where both are empty."""
    union = (predicted | masks).flatten(1).sum(1)
    return torch.where(union > 0, (predicted & masks).flatten(1).sum(1).double() / union.clamp_min(1), 1.0)


def dice_curve(levels: Tensor, masks: Tensor) -> Tensor:
    """Dice at every threshold k = 0..255 of 8-bit maps: (B, H, W) levels and boolean masks -> (B, 256) float64."""
    count = len(levels)
    # one histogram over (image, inside or not, level): whole numbers, so no device or order changes them
    which = torch.arange(count, device=levels.device).view(-1, 1) * 2 + masks.view(count, -1)
    flat = (levels.view(count, -1) + which * _LEVELS).flatten()
    found = torch.bincount(flat, minlength=count * 2 * _LEVELS).view(count, 2, _LEVELS)
    predicted, hits = (part.flip(1).cumsum(1).flip(1).double() for part in (found.sum(1), found[:, 1]))
    return 2 * hits / (predicted + masks.view(count, -1).sum(1, keepdim=True)).clamp_min(1)


def baseline_dice(val_set: Pool) -> dict[str, float]:
    """Return the Dice of an all-foreground map: the baseline of any trained model."""
    scores = []
    for position in range(len(val_set)):
        _, mask = val_set.batch(np.array([position]))
        share = float((mask > 127).float().mean())
        scores.append(2 * share / (1 + share))
    return {"val_dice_all_foreground": float(np.mean(scores))}
