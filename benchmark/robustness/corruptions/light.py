"""Light and colour: exposure, contrast, colour cast, vignette. Most are one table look-up per channel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.robustness.corruptions.base import Pixels, uniform_u16
from benchmark.robustness.corruptions.noise import srgb_to_linear, to_uint8


def over_exposure(image: Pixels, stops: float, bits: np.random.PCG64) -> Pixels:
    """Multiply linear light by ``2 ** stops``; what exceeds full scale is clipped."""
    light = np.minimum(srgb_to_linear() * 2.0**stops, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8).take(image)


def contrast(image: Pixels, factor: float, bits: np.random.PCG64) -> Pixels:
    """Pull every channel towards its mean over the image; ``factor`` of the contrast is left."""
    table = np.arange(256) * factor + (1 - factor) * channel_means(image)[:, None]  # (3, 256)
    return _per_channel(image, table)


def colour_cast(image: Pixels, strength: float, bits: np.random.PCG64) -> Pixels:
    """Change the channels' gains, as a wrong white balance does, in a hue that is drawn.

    The gains go from 1 in opposite directions until the root-mean-square change is ``strength`` grey levels, so that
    every hue and every image is cast equally far.
    """
    hue = 2 * math.pi * float(uniform_u16((1,), bits)[0]) / (1 << 16)
    direction = np.cos(hue - np.arange(3) * (2 * math.pi / 3))[:, None]  # (3, 1)
    shares, values = _histograms(image), np.arange(256)

    def cast(size: float) -> NDArray[np.float64]:
        return np.clip(np.rint(values * np.maximum(1 + size * direction, 0)), 0, 255)  # (3, 256)

    low, high = 0.0, 64.0
    for _ in range(24):
        middle = (low + high) / 2
        weak = ((cast(middle) - values) ** 2 * shares).sum() / 3 < strength**2
        low, high = (middle, high) if weak else (low, middle)
    return _per_channel(image, cast(high))


def vignette(image: Pixels, loss: float, bits: np.random.PCG64) -> Pixels:
    """Darken with the square of the distance from the centre; in the corners ``loss`` of the value is gone."""
    height, width = image.shape[:2]
    y = (2 * (np.arange(height) + 0.5) / height - 1) ** 2
    x = (2 * (np.arange(width) + 0.5) / width - 1) ** 2
    left = 1 - loss * (y[:, None] + x) / 2  # (H, W)
    return to_uint8(image * left[..., None].astype(np.float32))


def channel_means(image: Pixels) -> NDArray[np.float64]:
    """Mean of each channel, (3,)."""
    return np.array([np.arange(256) @ share for share in _histograms(image)])


def _histograms(image: Pixels) -> NDArray[np.float64]:
    """Share of each value per channel, (3, 256)."""
    counts = np.stack([np.bincount(image[..., c].ravel(), minlength=256) for c in range(3)])
    return counts / counts[0].sum()


def _per_channel(image: Pixels, table: NDArray[np.float64]) -> Pixels:
    """Look every value up in its channel's row of (3, 256)."""
    grey = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    return np.stack([grey[c].take(image[..., c]) for c in range(3)], axis=-1)
