"""From a map to 256 levels, and from levels to the values that are scored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.metrics.protocol import Protocol

Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def quantise(prob: NDArray, rule: str = "round") -> Levels:
    """Return a map as 8-bit levels; 8-bit maps are unchanged.

    Args:
        prob: (H, W), uint8 in 0..255, or float in [0, 1], or boolean.
        rule: "round": round(255 p), half to even; "truncate": floor(255 p). See ``Protocol.quantise``.
    Raises:
        BenchError: If the map has another type or shape, NaN or infinite values, or values outside [0, 1].
    """
    prob = np.asarray(prob)
    if prob.ndim != 2 or prob.size == 0:
        raise BenchError(f"map has shape {prob.shape}: expected (height, width), one channel, not empty")
    if prob.dtype == np.uint8:
        return np.ascontiguousarray(prob)
    if prob.dtype == np.bool_:
        return np.ascontiguousarray(prob).astype(np.uint8) * np.uint8(255)
    if prob.dtype.kind != "f":
        raise BenchError(f"map has type {prob.dtype}: give uint8 in 0..255 or float in [0, 1]")
    low, high = float(prob.min()), float(prob.max())  # a NaN anywhere makes both NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BenchError("map has NaN or infinite values: look at the model that made it")
    if low < 0 or high > 1:
        raise BenchError(f"map has values from {low:g} to {high:g}: floats must lie in [0, 1]")
    scaled = prob.astype(np.float64) * 255
    return (np.rint(scaled) if rule == "round" else np.floor(scaled)).astype(np.uint8)


def check_mask(mask: NDArray, shape: tuple[int, ...] | None = None) -> Mask:
    """Return the mask, C-contiguous, once it is known to be boolean and of the map's shape.

    Raises:
        BenchError: If the mask is not a boolean (H, W) array, is empty, or differs in shape.
    """
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise BenchError(f"mask has type {mask.dtype}: give a boolean array, for a grey mask `mask > 127`")
    if mask.ndim != 2 or mask.size == 0:
        raise BenchError(f"mask has shape {mask.shape}: expected (height, width), not empty")
    if shape is not None and mask.shape != shape:
        raise BenchError(f"map is {_size(shape)} and mask is {_size(mask.shape)} (width x height): resize the map")
    return np.ascontiguousarray(mask)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in reversed(shape))


def resize_levels(levels: Levels, size_px: int) -> Levels:
    """Resize an 8-bit map to a square with Pillow's bilinear filter (antialiased when shrinking)."""
    from PIL import Image

    if levels.shape == (size_px, size_px):
        return levels
    image = Image.fromarray(levels).resize((size_px, size_px), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(image, dtype=np.uint8)


def resize_mask(mask: Mask, size_px: int) -> Mask:
    """Resize a mask to a square: bilinear on 0/255, foreground from 0.5 (level 128) on."""
    return resize_levels(mask.astype(np.uint8) * np.uint8(255), size_px) >= 128


def stretch_to_8bit(levels: Levels) -> Levels:
    """Stretch a map to its own [0, 255] and round; a constant map is unchanged."""
    low, high = int(levels.min()), int(levels.max())
    if low == high:
        return levels
    table = np.rint((np.arange(256) - low).clip(0, high - low) * (255 / (high - low))).astype(np.uint8)
    return table[levels]


@dataclass(frozen=True, eq=False)
class LevelTable:
    """What each of the 256 levels of one map is worth.

    Attributes:
        value: (256,) float64, the scored value of each level; outside the map's own range it goes below 0
            or above 1, where no pixel is.
        first: (256,) int64, for k = 255..0 the lowest level that passes threshold k (256: none does).
    """

    value: NDArray[np.float64]
    first: NDArray[np.int64]

    def first_from(self, threshold: float, compare: str) -> int:
        """Return the lowest level whose value passes ``threshold``, 256 if none does."""
        return int(self.value.searchsorted(threshold, "left" if compare == ">=" else "right"))


def level_table(low: int, high: int, protocol: Protocol) -> LevelTable:
    """Return the table for a map whose levels run from ``low`` to ``high``."""
    if not protocol.stretch or low == high:
        low, high = 0, 255  # both leave the values unchanged
    return _level_table(low, high, protocol.variant)


@lru_cache(maxsize=1024)
def _level_table(low: int, high: int, variant: str) -> LevelTable:
    """Build the table with the same float64 operations, in the same order, as the code that defines it."""
    value = np.arange(256, dtype=np.float64) / 255
    least, span = value[low], value[high] - value[low]
    ks = np.arange(255, -1, -1)
    if variant == "matlab":
        value = (value - least) * (1 / span)
        first = np.searchsorted(value, matlab_thresholds())
    else:
        value = (value - least) / span
        first = np.searchsorted(np.trunc(value * 255), ks)
    return LevelTable(value, first.astype(np.int64))


@lru_cache(maxsize=1)
def matlab_thresholds() -> NDArray[np.float64]:
    """Return MATLAB's 1:-1/255:0, (256,): a colon list is built from both of its ends."""
    step, i = 1 / 255, np.arange(256)
    return np.where(i < 128, 1 - i * step, (255 - i) * step)
