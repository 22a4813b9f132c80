"""The loss: native terms, the recipe's criterion on map and points, and refusals."""

import math

import pytest
import torch
import torch.nn.functional as F

from bsanet import build
from bsanet.losses import bce_dice, bsanet_loss


def test_bce_dice_of_a_known_map() -> None:
    logits, mask = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    # probability one half everywhere: overlap 1, sums 2 and 2, one pixel of smoothing
    assert bce_dice(logits, mask).item() == pytest.approx(math.log(2) + 1 - 3 / 5)


def test_bce_dice_vanishes_on_a_perfect_map_and_on_an_empty_one() -> None:
    mask = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 0.0]]]])
    assert bce_dice(200 * (mask - 0.5), mask).item() == pytest.approx(0, abs=1e-6)


def test_dice_is_a_mean_over_images() -> None:
    mask = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    logits = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    alone = sum(bce_dice(a[None], b[None]) for a, b in zip(logits, mask, strict=True)) / 3
    torch.testing.assert_close(bce_dice(logits, mask), alone)


def test_points_add_bce_against_the_mask_there() -> None:
    logits, mask = torch.randn(2, 1, 8, 8), torch.rand(2, 1, 8, 8).round()
    columns = torch.tensor([0, 3, 7])
    points = torch.stack(((columns + 0.5) / 8, torch.full((3,), 2.5 / 8)), dim=-1).expand(2, -1, -1)
    point_logits = torch.randn(2, 1, 1, 3)
    expected = bce_dice(logits, mask) + F.binary_cross_entropy_with_logits(point_logits, mask[:, :, 2:3, columns])
    torch.testing.assert_close(bsanet_loss((logits, point_logits, points), mask), expected)


@pytest.mark.parametrize("rendering_loss", ["map", "network", "points"])
def test_a_criterion_is_used_for_all_that_the_network_returns(rendering_loss: str) -> None:
    seen = []

    def criterion(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(logits.shape), tuple(mask.shape)))
        return (logits - mask).abs().mean()

    torch.manual_seed(0)
    model = build(rendering_loss=rendering_loss)
    loss = model.loss(model(torch.randn(2, 3, 128, 128)), torch.rand(2, 1, 128, 128), criterion=criterion)
    second = (2, 1, 1, 256) if rendering_loss == "points" else (2, 1, 128, 128)
    assert seen == [((2, 1, 128, 128),) * 2, (second,) * 2]
    loss.backward()


@pytest.mark.parametrize("drop", [(), ("rendering",)])
def test_outputs_of_evaluation_and_of_a_variant_have_a_loss_too(drop: tuple[str, ...]) -> None:
    model = build(drop=drop).eval()
    outputs = model(torch.randn(1, 3, 64, 64))
    mask = torch.rand(1, 1, 64, 64).round()
    torch.testing.assert_close(model.loss(outputs, mask), bce_dice(outputs[0], mask))


def test_a_mask_of_another_size_gets_the_map_resized() -> None:
    logits, mask = torch.randn(1, 1, 8, 8), torch.rand(1, 1, 16, 16).round()
    resized = F.interpolate(logits, size=(16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(bsanet_loss((logits,), mask), bce_dice(resized, mask))


@pytest.mark.parametrize("shape", [(8, 8), (1, 3, 8, 8), (2, 1, 8, 8)])
def test_a_mask_of_the_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(1, 1, H, W\)"):
        bsanet_loss((torch.zeros(1, 1, 8, 8),), torch.zeros(shape))
