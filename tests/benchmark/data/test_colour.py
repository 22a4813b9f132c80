"""Colour exchange: the conversion is OpenCV's, the statistics become the donor's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.data.pixels.colour import ColourExchange, lab_to_rgb, rgb_to_lab
from benchmark.data.pixels.pool import Pool, Subset


def _images(count: int = 4, side: int = 32) -> np.ndarray:
    rng = np.random.default_rng(0)
    base = rng.integers(60, 180, (count, 1, 1, 3))
    return (base + rng.integers(-30, 30, (count, side, side, 3))).clip(0, 255).astype(np.uint8)


def _pool(images: np.ndarray, names: tuple[str, ...]) -> Pool:
    pixels = SimpleNamespace(images=images, masks=np.zeros(images.shape[:3], np.uint8))
    return Pool([Subset(pixels, np.arange(len(images)), names)])


def test_lab_is_opencvs_within_a_level() -> None:
    cv2 = pytest.importorskip("cv2")
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    theirs = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(int)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    ours = rgb_to_lab(x)[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(ours - theirs).max() <= 1
    back = (lab_to_rgb(torch.from_numpy(theirs).permute(2, 0, 1)[None].float())[0] * 255).permute(1, 2, 0).numpy()
    assert np.abs(back - cv2.cvtColor(theirs.astype(np.uint8), cv2.COLOR_LAB2RGB)).max() <= 2


def test_an_image_takes_its_donors_statistics() -> None:
    images = _images()
    exchange = ColourExchange(_pool(images, ("1", "2", "a", "b")))
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    moved = exchange(x, np.arange(4), torch.Generator().manual_seed(0))
    first = (torch.rand(4, generator=torch.Generator().manual_seed(0)) < 0.7).tolist()
    groups = ([0, 1], [2, 3])
    for i in range(4):
        donor = groups[0 if first[i] else 1][i % 2]
        wanted = rgb_to_lab(x[donor : donor + 1]).mean((2, 3))
        assert torch.allclose(rgb_to_lab(moved[i : i + 1]).mean((2, 3)), wanted, atol=1.5)


def test_one_group_alone_gives_to_itself() -> None:
    images = _images()
    exchange = ColourExchange(_pool(images, ("a", "b", "c", "d")))
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    moved = exchange(x, np.arange(4), torch.Generator().manual_seed(0))
    assert torch.allclose(moved, x, atol=6 / 255), "each image is its own donor: only 8-bit rounding remains"
