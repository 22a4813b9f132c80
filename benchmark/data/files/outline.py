"""Outlines of masks painted on images; every picture with an outline is drawn here."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[np.bool_]
Colour: TypeAlias = tuple[int, int, int]


def draw_outline(image: Pixels, mask: Mask, colour: Colour, *, width: int, fill: float = 0.0) -> Pixels:
    """Return an image with the outline of a mask, drawn inside the mask.

    Args:
        image: (H, W, 3) RGB; unchanged.
        mask: (H, W).
        colour: RGB of the outline.
        width: Width of the line, px, at least 1.
        fill: Opacity of the colour on the rest of the mask, 0 to 1.
    """
    from scipy.ndimage import binary_erosion

    edge = mask & ~binary_erosion(mask, iterations=width, border_value=0)
    picture = image.copy()
    values = np.arange(256, dtype=np.float32)
    for channel, part in enumerate(colour):  # by tables: floats of a large image would take gigabytes
        tinted = ((1 - fill) * values + fill * np.float32(part)).round().astype(np.uint8)
        picture[..., channel] = np.where(mask, tinted[image[..., channel]], image[..., channel])
    picture[edge] = colour
    return picture


def draw_ring(image: Pixels, mask: Mask, colour: Colour, halo: Colour) -> Pixels:
    """Return an image with a line around a mask, outside it, and a second one around that; each 1 px wide.

    On a small picture a line inside would hide thin parts of the mask.

    Args:
        image: (H, W, 3) RGB; unchanged.
        mask: (H, W).
        colour: RGB of the line.
        halo: RGB of the line around it, which makes it visible on any background.
    """
    from scipy.ndimage import binary_dilation

    line = binary_dilation(mask) & ~mask
    picture = image.copy()
    picture[binary_dilation(line) & ~line & ~mask] = halo
    picture[line] = colour
    return picture
