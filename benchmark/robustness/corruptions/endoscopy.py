"""Artefacts of endoscopy: specular highlights and smoke, drawn as random fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.robustness.corruptions.base import Pixels
from benchmark.robustness.corruptions.noise import normal, to_uint8

_SMOKE_GREY = 205.0
_SPOT, _EDGE = 0.025, 0.35  # size of a highlight as a part of the short side; width of its edge in field units
_CLOUDS = ((0.5, 1.0), (0.2, 0.5), (0.08, 0.25))  # size as a part of the short side, weight


def specular_highlights(image: Pixels, area: float, bits: np.random.PCG64) -> Pixels:
    """Saturate spots that cover ``area`` of the image, most of them where the image is bright.

    A random field and the smoothed brightness are added; the highest ``area`` of the sum turns white with soft edges.
    """
    short = min(image.shape[:2])
    grey = image.mean(axis=2, dtype=np.float32)
    shine = _smooth(grey, 0.1 * short)
    field = _field(grey.shape, _SPOT * short, bits) + 2 * shine / max(float(shine.max()), 1.0)
    rank = max(1, round(area * field.size))
    cut = np.partition(field, -rank, axis=None)[-rank]
    white = np.clip((field - cut) / _EDGE + 1, 0, 1)[..., None]  # (H, W, 1): 1 inside, falling to 0 outside
    return to_uint8(image + white**2 * (255 - image.astype(np.float32)))


def smoke(image: Pixels, density: float, bits: np.random.PCG64) -> Pixels:
    """Mix in a grey veil of clouds of three sizes; its mean opacity is ``density``."""
    short = min(image.shape[:2])
    clouds = np.zeros(image.shape[:2], np.float32)
    for size, weight in _CLOUDS:
        clouds += weight * _field(clouds.shape, size * short, bits)
    veil = (1 + 0.25 * np.clip(clouds - clouds.mean(), -2, 2)) * density
    veil = np.clip(veil, 0, 1)[..., None]
    return to_uint8(image + veil * (_SMOKE_GREY - image.astype(np.float32)))


def _field(shape: tuple[int, ...], size_px: float, bits: np.random.PCG64) -> NDArray[np.float32]:
    """A smooth random field of about unit variance whose structures are ``size_px`` wide, (H, W)."""
    height, width = shape
    nodes = (max(2, round(height / size_px)), max(2, round(width / size_px)))
    return _resize(normal(nodes, bits), (width, height))


def _smooth(values: NDArray[np.float32], size_px: float) -> NDArray[np.float32]:
    height, width = values.shape
    small = _resize(values, (max(2, round(width / size_px)), max(2, round(height / size_px))))
    return _resize(small, (width, height))


def _resize(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    from PIL import Image

    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))
