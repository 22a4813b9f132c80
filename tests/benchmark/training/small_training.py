"""A training of seconds: a small network, images drawn here, a recipe."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from benchmark.config import Recipe
from benchmark.data.pixels.pool import Pool, Subset

RECIPE = Recipe(image_size=32, batch_size=4, epochs=4, lr=0.02, loss="bce", augmentation=("hflip", "rot90"))


class Net(nn.Module):
    """A small network with batch norm and dropout, so that every kind of state matters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(8, 1, 1)
        )

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.body(image),)


def make_net() -> Net:
    torch.manual_seed(7)
    return Net()


def make_pool(count: int, seed: int) -> Pool:
    """Bright discs on dark noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    centres = rng.uniform(8, 24, (count, 2))
    masks = np.stack([((x - cx) ** 2 + (y - cy) ** 2 < 49) for cx, cy in centres])
    images = (masks[..., None] * 120 + rng.integers(0, 60, (count, 32, 32, 3))).astype(np.uint8)
    pixels = SimpleNamespace(images=images, masks=masks.astype(np.uint8) * 255)
    half = count // 2
    return Pool([Subset(pixels, np.arange(half)), Subset(pixels, np.arange(half, count))])
