"""Read an item's files as its dataset stores them: colour order and mask threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.files.decode import decode_image, decode_mask_grey, image_shape
from benchmark.data.listing.items import MASK_THRESHOLD, Item
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray


_NEAR, _MOSTLY = 40, 0.95  # a JPEG mask has values near 0 and 255, a photograph all others too


def read_image(item: Item) -> NDArray[np.uint8]:
    """Read an item's image as (H, W, 3) uint8 RGB."""
    pixels = decode_image(item.image_path)
    return np.ascontiguousarray(pixels[..., ::-1]) if item.channels == "bgr" else pixels


def read_mask_grey(item: Item) -> NDArray[np.uint8]:
    """Read an item's mask as (H, W) uint8 grey: as stored if its threshold is 127, else thresholded, 0 and 255.

    Of a coloured mask the greatest channel counts: black is background.
    """
    if item.mask_colours:
        grey = decode_image(item.mask_path).max(axis=2)
        return (grey > item.mask_threshold).astype(np.uint8) * np.uint8(255)
    try:
        grey = decode_mask_grey(item.mask_path, threshold=item.mask_threshold)
    except BenchError as error:
        raise (swapped(item) if looks_like_mask(item.image_path) else error) from None
    if item.mask_threshold == MASK_THRESHOLD:
        return grey
    return (grey > item.mask_threshold).astype(np.uint8) * np.uint8(255)


def read_mask(item: Item) -> NDArray[np.bool_]:
    """Read an item's mask as (H, W) bool."""
    return read_mask_grey(item) > MASK_THRESHOLD


def looks_like_mask(path: Path) -> bool:
    """Return whether an image file is black and white, but for outlines that JPEG blurs."""
    try:
        grey = decode_mask_grey(path, threshold=0)
    except BenchError:  # coloured, as an image should be
        return False
    return float(np.mean((grey < _NEAR) | (grey > 255 - _NEAR))) > _MOSTLY


def swapped(item: Item) -> BenchError:
    """Return the error for an item whose two files are swapped."""
    return BenchError(
        f"image {item.image_path} looks like a mask, and mask {item.mask_path} like a photograph: exchange the two "
        "folders"
    )


def mask_shape(item: Item) -> tuple[int, int]:
    """Return height and width of an item's mask in pixels; nothing is decoded."""
    return image_shape(item.mask_path)
