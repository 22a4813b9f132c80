"""Blur by exact kernels with integer sums, so that the bytes are the same on every processor.

Lengths are parts of the image's short side: a camera's blur covers the same share of the scene at any resolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.robustness.corruptions.base import Pixels, uniform_u16


def motion_blur(image: Pixels, length: float, bits: np.random.PCG64) -> Pixels:
    """Average along a quarter circle of ``length`` (part of the short side), turned by a drawn angle.

    Borders are mirrored. The path is bent, as a swinging tip leaves it: a straight one would blur least along the
    straight borders of the field of view, and a long blur might change less than a short one in another direction.
    """
    start = 2 * math.pi * float(uniform_u16((1,), bits)[0]) / (1 << 16)
    return path_blur(image, arc(length * min(image.shape[:2]), start))


def arc(length_px: float, start: float) -> list[tuple[int, int]]:
    """Pixel offsets (y, x) along a quarter circle of ``length_px`` from the angle ``start``, centred on their mean."""
    count = max(3, round(length_px) + 1)
    radius = length_px / (math.pi / 2)
    angles = start + np.linspace(0, math.pi / 2, count)
    points = radius * np.stack([np.sin(angles), np.cos(angles)])  # (2, count)
    steps = np.rint(points - points.mean(axis=1, keepdims=True)).astype(int)
    return [(int(y), int(x)) for y, x in steps.T]


def path_blur(image: Pixels, steps: Sequence[tuple[int, int]]) -> Pixels:
    """Average over the pixels at these offsets (y, x); an offset that comes twice counts twice."""
    height, width = image.shape[:2]
    reach = max(1, *(max(abs(y), abs(x)) for y, x in steps))
    padded = np.pad(image.astype(np.uint16), ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    fits = 255 * len(steps) <= np.iinfo(np.uint16).max
    total = np.zeros(image.shape, np.uint16 if fits else np.uint32)
    for y, x in steps:
        total += padded[reach + y : reach + y + height, reach + x : reach + x + width]
    return _divide(total, len(steps))


def defocus_blur(image: Pixels, radius: float, bits: np.random.PCG64) -> Pixels:
    """Average over a disk of ``radius`` (part of the short side), the image of a point out of focus."""
    return disk_blur(image, radius * min(image.shape[:2]))


def disk_blur(image: Pixels, radius_px: float) -> Pixels:
    """Average over the pixels whose centres lie within ``radius_px``; mirrored at borders."""
    height, width = image.shape[:2]
    reach = max(1, int(radius_px))
    inside = max(radius_px, 1.0) ** 2
    padded = np.pad(image, ((reach, reach), (reach + 1, reach), (0, 0)), mode="reflect")
    sums = np.cumsum(padded, axis=1, dtype=np.int32)  # sums[:, x + 1 + reach] includes pixel x
    total, taps = np.zeros(image.shape, np.int32), 0
    for y in range(-reach, reach + 1):
        half = int(math.sqrt(inside - y * y))
        rows = sums[reach + y : reach + y + height]
        total += rows[:, reach + 1 + half : reach + 1 + half + width]
        total -= rows[:, reach - half : reach - half + width]
        taps += 2 * half + 1
    return _divide(total, taps)


def _divide(total: NDArray[np.integer], taps: int) -> Pixels:
    return np.rint(total * np.float32(1 / taps)).astype(np.uint8)
