"""Bring decoded pixels to the training size, the ways in which the six papers do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.data.listing.items import MASK_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Resize = Literal["antialias", "linear"]
"""antialias: Pillow's bilinear, which averages when it shrinks. linear: two taps a direction, as OpenCV's."""

MaskMode = Literal["binary", "soft", "soft_linear", "nearest"]
"""binary: cut at 127, resized, cut at one half: 0 or 255. soft: the grey mask resized, edges kept soft (PraNet).
soft_linear: the same by two taps a direction, however the image is resized (FCBFormer). nearest: the nearest pixel's
grey value, as it is (SANet)."""


def resize_image(pixels: Pixels, size: int, resize: Resize) -> Pixels:
    """Resize (H, W, 3) or (H, W) uint8 to (size, size, ...)."""
    return _antialias(pixels, size) if resize == "antialias" else linear(pixels, size)


def resize_mask(grey: Pixels, size: int, mode: MaskMode, resize: Resize) -> Pixels:
    """Resize a mask (H, W) uint8 to (size, size) uint8."""
    if mode == "soft":
        return resize_image(grey, size, resize)
    if mode == "soft_linear":
        return linear(grey, size)
    if mode == "nearest":
        rows, columns = (np.arange(size) * length // size for length in grey.shape)
        return np.ascontiguousarray(grey[rows][:, columns])
    binary = (grey > MASK_THRESHOLD).astype(np.uint8) * np.uint8(255)
    return (resize_image(binary, size, resize) > MASK_THRESHOLD).astype(np.uint8) * np.uint8(255)


def _antialias(pixels: Pixels, size: int) -> Pixels:
    from PIL import Image

    image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def linear(pixels: Pixels, size: int) -> Pixels:
    """Resize by two-tap bilinear interpolation at pixel centres, edges repeated, without antialiasing.

    Agrees with OpenCV's INTER_LINEAR to one grey level (OpenCV rounds its weights).

    Args:
        pixels: (H, W) or (H, W, C) uint8.
        size: Side of the result.
    """
    top, bottom, weight_y = _taps(pixels.shape[0], size)
    left, right, weight_x = _taps(pixels.shape[1], size)
    weight_x = weight_x.reshape(-1, *[1] * (pixels.ndim - 2))
    weight_y = weight_y.reshape(-1, 1, *[1] * (pixels.ndim - 2))
    upper, lower = (_mix(pixels[rows], left, right, weight_x) for rows in (top, bottom))
    return (upper + (lower - upper) * weight_y + np.float32(0.5)).astype(np.uint8)


def _mix(
    rows: Pixels, left: NDArray[np.intp], right: NDArray[np.intp], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    first = rows[:, left].astype(np.float32)
    return first + (rows[:, right] - first) * weight


def _taps(length: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return both neighbours of each target pixel along one axis and the second one's weight."""
    place = np.clip((np.arange(size) + 0.5) * (length / size) - 0.5, 0, length - 1)
    first = np.floor(place).astype(np.intp)
    return first, np.minimum(first + 1, length - 1), (place - first).astype(np.float32)
