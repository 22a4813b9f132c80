"""The shared losses against values worked out by hand and against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from baselines.losses import bce, bce_dice, dice, edge_weight, structure_loss

LOGITS = torch.tensor([[[[0.0, math.log(3.0)]]], [[[math.log(3.0), 0.0]]]])  # p = 1/2, 3/4 and 3/4, 1/2
MASK = torch.tensor([[[[1.0, 0.0]]], [[[1.0, 1.0]]]])


def test_bce_by_hand() -> None:
    # -ln of 1/2, 1/4, 3/4, 1/2
    assert bce(LOGITS, MASK).item() == pytest.approx(math.log(2 * 4 * 4 / 3 * 2) / 4, abs=1e-6)


def test_dice_by_hand() -> None:
    # S(pG), S(p), S(G): 1/2, 5/4, 1 and 5/4, 5/4, 2
    both = (1 - 2 / 3.25) / 2 + (1 - 3.5 / 4.25) / 2
    assert dice(LOGITS, MASK).item() == pytest.approx(both, abs=1e-6)
    below = (1 - 1 / 3.25) / 2 + (1 - 2.5 / 4.25) / 2
    assert dice(LOGITS, MASK, smooth_top=0.0).item() == pytest.approx(below, abs=1e-6)
    assert bce_dice(LOGITS, MASK).item() == pytest.approx(bce(LOGITS, MASK).item() + both, abs=1e-6)


def test_dice_is_a_mean_over_images_not_over_the_batch_as_one() -> None:
    one = [dice(LOGITS[i : i + 1], MASK[i : i + 1]).item() for i in range(2)]
    assert dice(LOGITS, MASK).item() == pytest.approx(sum(one) / 2, abs=1e-6)


def test_edge_weight_counts_zeros_beyond_the_border() -> None:
    mask = torch.ones(1, 1, 40, 40)
    weight = edge_weight(mask)
    assert weight[0, 0, 20, 20].item() == pytest.approx(1.0)
    # at a corner 16 x 16 of the 31 x 31 window lie inside
    assert weight[0, 0, 0, 0].item() == pytest.approx(1 + 5 * (1 - 256 / 961), abs=1e-5)
    assert weight[0, 0, 0, 20].item() == pytest.approx(1 + 5 * (1 - 16 / 31), abs=1e-5)


def slow_structure_loss(logits: Tensor, mask: Tensor, legacy: bool) -> float:
    """Image by image, pixel by pixel."""
    B, _, H, W = logits.shape
    p = 1 / (1 + torch.exp(-logits))
    cross = -(mask * p.log() + (1 - mask) * (1 - p).log())
    total = 0.0
    for i in range(B):
        weight = torch.zeros(H, W, dtype=logits.dtype)
        for y in range(H):
            for x in range(W):
                window = mask[i, 0, max(0, y - 15) : y + 16, max(0, x - 15) : x + 16]
                weight[y, x] = 1 + 5 * (window.sum() / 961 - mask[i, 0, y, x]).abs()
        inter = (weight * p[i, 0] * mask[i, 0]).sum()
        both = (weight * (p[i, 0] + mask[i, 0])).sum()
        iou = 1 - (inter + 1) / (both - inter + 1)
        term = cross.mean() if legacy else (weight * cross[i, 0]).sum() / weight.sum()
        total += (term + iou).item() / B
    return total


@pytest.mark.parametrize("legacy", [True, False])
def test_structure_loss_equals_its_formula(legacy: bool) -> None:
    g = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 1, 24, 36, generator=g, dtype=torch.float64)
    mask = torch.zeros(2, 1, 24, 36, dtype=torch.float64)
    mask[0, 0, 4:12, 8:20] = 1
    mask[1, 0, 10:23, 0:9] = 0.7
    own = structure_loss(logits, mask, legacy_bce=legacy).item()
    assert own == pytest.approx(slow_structure_loss(logits, mask, legacy), abs=1e-9)
    other = structure_loss(logits, mask, legacy_bce=not legacy).item()
    assert abs(own - other) > 1e-4
    assert structure_loss(logits, mask, legacy_bce=legacy, weight=edge_weight(mask)).item() == own


def test_structure_loss_refuses_another_size() -> None:
    with pytest.raises(ValueError, match="same shape"):
        structure_loss(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 16, 16))


@pytest.mark.parametrize("loss", [bce, dice, bce_dice, structure_loss])
def test_extremes_stay_finite_and_order_maps(loss) -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    right, wrong = (2 * mask - 1) * 500, (1 - 2 * mask) * 500
    values = [loss(logits, mask).item() for logits in (right, torch.zeros_like(mask), wrong)]
    assert all(math.isfinite(v) for v in values)
    assert values == sorted(values)
    assert values[0] < 0.01


@pytest.mark.parametrize("loss", [bce, dice, bce_dice, structure_loss])
def test_half_precision_is_widened(loss) -> None:
    logits = torch.full((1, 1, 320, 320), 4.0)  # 102400 pixels: a float16 sum would overflow
    mask = torch.ones(1, 1, 320, 320)
    value = loss(logits.half(), mask.half())
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(logits, mask).item(), rel=1e-3)
