"""Facts of an image that come from its mask alone, to group and explain scores by."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.levels import Mask, check_mask

SMALL_BELOW: Final = 0.05
"""A mask that covers less than this share of the image is small."""

LARGE_FROM: Final = 0.15
"""A mask that covers this share of the image or more is large; between the two it is medium."""

SIZE_BINS: Final = ("empty", "small", "medium", "large")


def size_bin(area_rel: float) -> str:
    """Return "empty", "small" (< 5 % of the image), "medium" (< 15 %) or "large" for a relative area."""
    if area_rel == 0:
        return "empty"
    return "small" if area_rel < SMALL_BELOW else "medium" if area_rel < LARGE_FROM else "large"


def mask_facts(mask: NDArray[np.bool_]) -> dict[str, int | float | str | bool]:
    """Return what a per-image row says about its mask.

    Args:
        mask: (H, W) boolean.
    Returns:
        ``height_px``, ``width_px``, ``mask_px`` (foreground pixels), ``area_rel`` (their share, 0..1),
        ``size_bin``, ``num_polyps`` (8-connected components), ``touches_border``.
    Raises:
        BenchError: If the mask is not a boolean (H, W) array.
    """
    mask = check_mask(mask)
    num_fg = int(np.count_nonzero(mask))
    area = num_fg / mask.size
    return {
        "height_px": mask.shape[0],
        "width_px": mask.shape[1],
        "mask_px": num_fg,
        "area_rel": area,
        "size_bin": size_bin(area),
        "num_polyps": count_components(mask),
        "touches_border": touches_border(mask),
    }


def count_components(mask: Mask) -> int:
    """Return the number of 8-connected components."""
    from scipy.ndimage import label

    return int(label(mask, structure=np.ones((3, 3), int))[1])


def touches_border(mask: Mask) -> bool:
    """Return whether a foreground pixel is in the first or last row or column."""
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
