"""ARM: where points are drawn, what is sampled there, and that subdivision changes those points only."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bsanet.config import Config
from bsanet.rendering import ARM, pixel_centres, sample

Maps = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def make(**options: object) -> ARM:
    torch.manual_seed(0)
    return ARM(replace(Config(), **options)).eval()


@pytest.fixture
def maps() -> Maps:
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, Config().stem_width, 32, 32), (2, Config().reduced_width, 16, 16), (2, 1, 16, 16))
    fine, decoded, coarse = (torch.randn(size, generator=generator) for size in sizes)
    return fine, decoded, coarse


def double(logits: torch.Tensor) -> torch.Tensor:
    return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


def test_sampling_at_pixel_centres_gives_the_pixels() -> None:
    maps = torch.randn(2, 3, 4, 6)
    points = pixel_centres(torch.arange(24).expand(2, -1), 4, 6)
    torch.testing.assert_close(sample(maps, points), maps.flatten(2))


def test_sampling_between_two_pixels_gives_their_mean() -> None:
    maps = torch.tensor([[[[1.0, 3.0]]]])
    assert sample(maps, torch.tensor([[[0.5, 0.5]]])).item() == pytest.approx(2.0)
    assert sample(maps, torch.tensor([[[0.0, 0.0]]])).item() == pytest.approx(1.0)  # the border holds


@pytest.mark.parametrize("side", [256, 1024])
def test_places_are_exact_in_half_precision(side: int) -> None:
    """A ramp along x, coarse enough for bf16 to hold it: what is sampled tells where."""
    ramp = torch.arange(side, dtype=torch.float32).div(side).expand(1, 1, 2, side)
    x = (torch.arange(0, side, 7) + 0.5) / side
    points = torch.stack((x, torch.full_like(x, 0.5)), -1)[None]
    exact = sample(ramp, points)
    assert sample(ramp.bfloat16(), points).dtype == torch.bfloat16
    torch.testing.assert_close(sample(ramp.bfloat16(), points), exact.bfloat16(), rtol=2**-8, atol=0)


def test_predicting_every_point_anew_is_the_dense_prediction(maps: Maps) -> None:
    arm = make(point_share=1.0, max_points=10**6)
    fine, decoded, coarse = maps
    points = pixel_centres(torch.arange(64 * 64).expand(2, -1), 64, 64)
    dense = arm(points, fine, decoded, coarse).view(2, 1, 64, 64)
    torch.testing.assert_close(arm.refine(fine, decoded, coarse), dense, atol=1e-5, rtol=1e-4)


def test_without_a_correction_the_points_are_the_coarse_logits(maps: Maps) -> None:
    arm = make()
    torch.nn.init.zeros_(arm.last.weight)
    torch.nn.init.zeros_(arm.last.bias)
    fine, decoded, coarse = maps
    points = torch.rand(2, 50, 2)
    torch.testing.assert_close(arm(points, fine, decoded, coarse), sample(coarse, points)[:, 0])


def test_only_the_most_uncertain_points_are_predicted_anew(maps: Maps) -> None:
    arm = make(point_share=1 / 64)
    torch.nn.init.constant_(arm.last.bias, 100.0)  # whatever is rendered is far off
    fine, decoded, coarse = maps
    once = double(coarse).flatten(1)
    rendered = once.abs() <= once.abs().sort(dim=1).values[:, 15:16]  # 32 * 32 / 64 = 16 of them
    change = torch.where(rendered, 1000.0, 0.0).view(2, 1, 32, 32)
    refined = arm.refine(fine, decoded, coarse)
    enlarged = F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)
    before = (enlarged + double(change)).flatten(1)
    second = before.abs() <= before.abs().sort(dim=1).values[:, 63:64]
    far = double(rendered.float().view(2, 1, 32, 32)).flatten(1) > 0
    changed = (refined.flatten(1) - enlarged.flatten(1)).abs() > 1e-4
    untouched = ~far & ~second
    assert untouched.any() and not (changed & untouched).any()
    assert second.sum(1).tolist() == [64, 64] and (changed & second).sum() == second.sum()


def test_the_order_of_points_does_not_matter(maps: Maps) -> None:
    arm = make()
    points, order = torch.rand(2, 40, 2), torch.randperm(40)
    torch.testing.assert_close(arm(points[:, order], *maps), arm(points, *maps)[:, order], atol=1e-5, rtol=1e-4)


def test_points_attend_to_one_another(maps: Maps) -> None:
    arm = make()
    points = torch.rand(2, 40, 2)
    moved = points.clone()
    moved[:, 1:] = torch.rand(2, 39, 2)
    assert not torch.allclose(arm(points, *maps)[:, 0], arm(moved, *maps)[:, 0])


@pytest.mark.parametrize(("pixels", "expected"), [(32, 1), (64 * 64, 64), (128 * 128, 256), (512 * 512, 512)])
def test_the_number_of_points_is_bounded(pixels: int, expected: int) -> None:
    assert make().num_points(pixels) == expected


def test_training_points_prefer_the_uncertain_and_keep_a_random_share() -> None:
    arm = make()
    coarse = torch.full((1, 1, 32, 32), 5.0)
    coarse[..., 8:16] = 0.0  # an uncertain band a quarter wide
    torch.manual_seed(0)
    points = arm.draw(coarse, 400)
    assert points.shape == (1, 400, 2) and points.min() >= 0 and points.max() <= 1
    inside = ((points[..., 0] > 0.24) & (points[..., 0] < 0.51))[0]
    assert inside[:300].float().mean() > 0.9  # the share chosen by uncertainty
    assert 0.15 < inside[300:].float().mean() < 0.4  # the uniform share
    torch.manual_seed(0)
    assert torch.equal(arm.draw(coarse, 400), points)
