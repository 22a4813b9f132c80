"""Augmentation: image and mask move together, draws come from the generator alone."""

from __future__ import annotations

import pytest
import torch

from benchmark.data import transforms


def _pair(count: int = 6, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose red channel is the mask itself, with a square off the centre."""
    masks = torch.zeros(count, 1, side, side)
    masks[:, :, 8:24, 20:44] = 1
    images = torch.cat([masks, torch.rand(count, 2, side, side, generator=torch.Generator().manual_seed(0))], 1)
    return images, masks


def _draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("piece", ["hflip", "vflip", "rot90", "rotate", "zoom", "crop"])
def test_image_and_mask_move_together(piece: str) -> None:
    images, masks = transforms.augment(*_pair(), [piece], crop_size=48, generator=_draw(3))
    assert torch.allclose(images[:, :1], masks, atol=1e-6)
    before, _ = _pair()
    assert images.shape != before.shape or not torch.equal(images, before)


@pytest.mark.parametrize("piece", ["hflip", "vflip", "rot90", "rotate", "zoom", "jitter", "crop"])
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
