"""Distances between outlines, in pixels: HD95 and surface Dice."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.metrics.levels import Mask, check_mask

Distances = NDArray[np.float64]


def hd95(pred: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float:
    """Return the 95th percentile of the distances between the outlines of two masks, both ways together.

    The outline of a mask is its pixels with a background 4-neighbour; what lies outside the image is
    background. Both empty: 0. Only one empty: the image's diagonal, the largest distance there could be.

    Args:
        pred: (H, W) boolean prediction.
        mask: (H, W) boolean ground truth.
    Returns:
        Pixels, >= 0, lower is better.
    Raises:
        BenchError: If an input is not a boolean (H, W) array or the shapes differ.
    Example:
        >>> mask = np.zeros((32, 32), dtype=bool)
        >>> mask[8:18, 8:18] = True
        >>> hd95(np.roll(mask, 3, axis=1), mask)  # three pixels to the right
        3.0
    """
    return boundary_scores(pred, mask)["hd95"]


def surface_dice(pred: NDArray[np.bool_], mask: NDArray[np.bool_], *, tolerance_px: float = 2.0) -> float:
    """Return the share of both outlines' pixels that lie within ``tolerance_px`` of the other outline.

    Outlines are as in ``hd95``. Both empty: 1. Only one empty: 0.

    Args:
        pred: (H, W) boolean prediction.
        mask: (H, W) boolean ground truth.
        tolerance_px: Largest distance in pixels that still counts as met, >= 0.
    Returns:
        In [0, 1], higher is better.
    Raises:
        BenchError: As in ``hd95``, or if the tolerance is negative.
    Example:
        >>> mask = np.zeros((32, 32), dtype=bool)
        >>> mask[8:18, 8:18] = True
        >>> surface_dice(np.roll(mask, 1, axis=1), mask)  # one pixel to the right, two are allowed
        1.0
    """
    return boundary_scores(pred, mask, tolerance_px=tolerance_px)["surface_dice"]


def boundary_scores(pred: NDArray[np.bool_], mask: NDArray[np.bool_], *, tolerance_px: float = 2.0) -> dict[str, float]:
    """Return ``hd95`` and ``surface_dice`` from one computation; see there."""
    pred = check_mask(pred)
    mask = check_mask(mask, pred.shape)
    if not tolerance_px >= 0:
        raise BenchError(f"tolerance_px = {tolerance_px!r}: expected a number of pixels >= 0")
    if not pred.any() and not mask.any():
        return {"hd95": 0.0, "surface_dice": 1.0}
    if not pred.any() or not mask.any():
        return {"hd95": math.hypot(*mask.shape), "surface_dice": 0.0}
    there, back = _outline_distances(pred, mask)
    both = np.concatenate([there, back])
    return {
        "hd95": float(np.percentile(both, 95)),
        "surface_dice": float(np.count_nonzero(both <= tolerance_px) / len(both)),
    }


def _outline_distances(a: Mask, b: Mask) -> tuple[Distances, Distances]:
    """Return the distances from a's outline to b's and from b's to a's."""
    from scipy.ndimage import distance_transform_edt

    either = a | b  # nothing outside its bounding box can matter
    rows, cols = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    part = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    edge_a, edge_b = _outline(a[part]), _outline(b[part])
    return distance_transform_edt(~edge_b)[edge_a], distance_transform_edt(~edge_a)[edge_b]


def _outline(mask: Mask) -> Mask:
    """Return the pixels of a mask that touch background or the array's border with an edge."""
    wide = np.pad(mask, 1)
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask & ~inner
