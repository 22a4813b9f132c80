"""Augmentation: image and mask move together, draws come from the generator alone."""

from __future__ import annotations

import pytest
import torch

from benchmark.data.pixels import transforms
from benchmark.data.pixels.turning import leading, turn


def _pair(count: int = 6, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose red channel is the mask itself, with a square off the centre."""
    masks = torch.zeros(count, 1, side, side)
    masks[:, :, 8:24, 20:44] = 1
    images = torch.cat([masks, torch.rand(count, 2, side, side, generator=torch.Generator().manual_seed(0))], 1)
    return images, masks


def _draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("piece", ["hflip", "vflip", "rot90", "rotate", "rotate_always", "zoom", "crop"])
def test_image_and_mask_move_together(piece: str) -> None:
    images, masks = transforms.augment(*_pair(), [piece], crop_size=48, generator=_draw(3))
    assert torch.allclose(images[:, :1], masks, atol=1e-6)
    before, _ = _pair()
    assert images.shape != before.shape or not torch.equal(images, before)


@pytest.mark.parametrize("piece", ["hflip", "vflip", "rot90", "rotate", "rotate_always", "zoom", "jitter", "crop"])
def test_same_generator_same_batch(piece: str) -> None:
    first, again, other = (
        transforms.augment(*_pair(), [piece], crop_size=48, generator=_draw(seed))[0] for seed in (5, 5, 6)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_half_of_the_images_are_flipped() -> None:
    images, masks = _pair(400, 32)
    _, flipped = transforms.augment(images, masks, ["hflip"], crop_size=32, generator=_draw(0))
    changed = (flipped != masks).flatten(1).any(1).sum().item()
    assert 160 < changed < 240


@pytest.mark.parametrize(("piece", "share"), [("rotate", 0.5), ("rotate_always", 1.0)])
def test_images_are_turned_by_up_to_a_quarter_with_black_corners(piece: str, share: float) -> None:
    """A thin bar from the centre to the right shows the angle."""
    masks = torch.zeros(400, 1, 65, 65)
    masks[:, :, 31:34, 33:64] = 1
    _, turned = transforms.augment(torch.ones(400, 3, 65, 65), masks, [piece], crop_size=65, generator=_draw(0))
    rows, columns = torch.meshgrid(torch.arange(65.0) - 32, torch.arange(65.0) - 32, indexing="ij")
    degrees = torch.rad2deg(torch.atan2((turned[:, 0] * rows).sum((1, 2)), (turned[:, 0] * columns).sum((1, 2))))
    changed = degrees.abs() > 0.5
    assert changed.float().mean().item() == pytest.approx(share, abs=0.07)
    assert 85 < degrees.max() < 91 and -91 < degrees.min() < -85
    assert degrees[changed].std().item() == pytest.approx(180 / 12**0.5, rel=0.1), "uniform"
    assert set(turned.unique().tolist()) == {0.0, 1.0}, "nearest"


def test_rot90_keeps_every_pixel() -> None:
    images, masks = _pair()
    turned, _ = transforms.augment(images, masks, ["rot90"], crop_size=64, generator=_draw(1))
    assert torch.allclose(turned.sum((2, 3)), images.sum((2, 3)), rtol=1e-5)


def test_jitter_stays_in_range_and_leaves_the_mask() -> None:
    images, masks = _pair()
    shaken, same = transforms.augment(images, masks, ["jitter"], crop_size=64, generator=_draw(1))
    assert shaken.min() >= 0 and shaken.max() <= 1 and torch.equal(same, masks)


def test_normalisation_is_imagenets() -> None:
    images = torch.tensor(transforms.IMAGENET_MEAN).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert transforms.normalize(images, "imagenet").abs().max() < 1e-6
    assert transforms.normalize(images, "none") is images


@pytest.mark.parametrize(("factor", "side"), [(0.75, 256), (1.0, 352), (1.25, 448)])
def test_scales_are_pranets_sides(factor: float, side: int) -> None:
    images, masks = torch.rand(1, 3, 352, 352), torch.rand(1, 1, 352, 352)
    scaled, mask = transforms.scale_batch(images, masks, factor, align_corners=True)
    assert scaled.shape[-2:] == mask.shape[-2:] == (side, side)


@pytest.mark.parametrize(
    "pieces", [["hflip"], ["vflip", "hflip"], ["rot90"], ["hflip", "vflip", "rot90"], ["rot90", "vflip"]]
)
def test_turning_bytes_first_gives_the_same_floats_in_the_same_layout(pieces: list[str]) -> None:
    numbers = torch.Generator().manual_seed(4)
    images = torch.randint(0, 256, (7, 32, 32, 3), generator=numbers, dtype=torch.uint8)
    masks = torch.randint(0, 256, (7, 32, 32), generator=numbers, dtype=torch.uint8)
    kept = images.clone()
    expected = transforms.augment(*transforms.to_float(images, masks), pieces, crop_size=32, generator=_draw(9))
    turned = turn(images, masks, pieces, generator=_draw(9))
    found = transforms.to_float(*turned, planar="rot90" in pieces)
    assert torch.equal(images, kept), "the caller's pixels stay"
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other) and one.stride() == other.stride()


def test_only_leading_flips_and_turns_come_first() -> None:
    assert [leading(p) for p in ([], ["hflip", "rot90"], ["vflip", "jitter", "hflip"], ["crop", "hflip"])] == [
        0,
        2,
        1,
        0,
    ]


@pytest.mark.parametrize("planar", [True, False])
@pytest.mark.parametrize("side", [32, 40])
def test_normalised_image_by_image_is_the_formula_to_the_bit(planar: bool, side: int) -> None:
    images = torch.randint(0, 256, (5, side, side, 3), generator=_draw(1), dtype=torch.uint8)
    x, _ = transforms.to_float(images, images[..., 0], planar=planar)
    mean = torch.tensor(transforms.IMAGENET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(transforms.IMAGENET_STD).view(1, 3, 1, 1)
    expected, found = (x - mean) / std, transforms.normalize(x, "imagenet")
    assert torch.equal(expected, found) and expected.stride() == found.stride()
    assert x.is_contiguous() == planar and float(x.max()) <= 1


@pytest.mark.parametrize("planar", [True, False])
def test_jitter_image_by_image_is_the_formula_to_the_bit(planar: bool) -> None:
    images = torch.randint(0, 256, (5, 40, 40, 3), generator=_draw(1), dtype=torch.uint8)
    x, y = transforms.to_float(images, images[..., 0], planar=planar)
    brightness, contrast = 1 + (torch.rand(2, 5, 1, 1, 1, generator=_draw(2)) * 2 - 1) * 0.2
    mean = x.mean((1, 2, 3), keepdim=True)
    expected = ((x - mean) * contrast + mean * brightness).clamp(0, 1)
    found, _ = transforms.augment(x, y, ["jitter"], crop_size=40, generator=_draw(2))
    assert torch.equal(expected, found) and expected.stride() == found.stride()


def test_half_normalises_to_minus_one_and_one() -> None:
    images = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4).contiguous()
    for layout in (torch.contiguous_format, torch.channels_last):
        scaled = transforms.normalize(images.to(memory_format=layout), "half")
        assert torch.equal(scaled, images * 2 - 1)
