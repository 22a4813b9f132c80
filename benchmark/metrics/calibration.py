"""Whether probabilities mean what they say: Brier score and calibration error, over the image and near outlines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.levels import Levels, Mask, check_mask

NUM_BINS: Final = 16
"""Bins of equal width: with 16, unlike 10 or 15, no 8-bit level lies on an edge, so every library bins alike."""

BAND_SHARE: Final = 0.02
"""Half the band's width as a share of the image's diagonal, as in Boundary IoU (Cheng et al., CVPR 2021)."""

REGIONS: Final = ("image", "band")
_VALUE: Final = np.arange(256) / 255
_BIN: Final = np.minimum(np.arange(256) * NUM_BINS // 255, NUM_BINS - 1)


def outline_band(mask: NDArray[np.bool_], *, share: float = BAND_SHARE) -> Mask:
    """Return the pixels near a mask's outline: background near foreground, and foreground near background.

    Near is within ``share`` of the image's diagonal, and at least 1 px, from pixel centre to pixel centre. The edge of
    the image is no outline. An empty or full mask has no band.

    Args:
        mask: (H, W) boolean.
        share: Half the band's width, as a share of the diagonal.
    Raises:
        BenchError: If the mask is not a boolean (H, W) array.
    """
    from scipy.ndimage import distance_transform_edt

    mask = check_mask(mask)
    band = np.zeros_like(mask)
    if not mask.any() or mask.all():
        return band
    reach = max(1.0, share * math.hypot(*mask.shape))
    margin = math.ceil(reach) + 1
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = np.s_[
        max(rows[0] - margin, 0) : rows[-1] + margin + 1,
        max(cols[0] - margin, 0) : cols[-1] + margin + 1,
    ]
    inside = mask[part]
    to_other = np.where(inside, distance_transform_edt(inside), distance_transform_edt(~inside))
    band[part] = to_other <= reach
    return band


def calibration_counts(levels: Levels, mask: Mask) -> dict[str, float]:
    """Return what the measures of ``measures.CALIBRATION`` are summed from, for one 8-bit map, not stretched.

    Returns:
        For the regions ``image`` and ``band``: ``<region>_sse``, the sum of (p - y)^2; and for each bin k of p
        ``<region>_n<k>`` pixels, ``<region>_p<k>`` sum of p, ``<region>_y<k>`` of them polyp.
    """
    joint = levels.astype(np.int64)
    joint[mask] += 256  # level and, above it, whether the pixel is polyp
    found: dict[str, float] = {}
    for region, values in zip(REGIONS, (joint.ravel(), joint[outline_band(mask)]), strict=True):
        counts = np.bincount(values, minlength=512).reshape(2, 256)
        found[f"{region}_sse"] = float(counts[0] @ _VALUE**2 + counts[1] @ (1 - _VALUE) ** 2)
        sums = {"n": counts.sum(axis=0), "p": counts.sum(axis=0) * _VALUE, "y": counts[1]}
        for name, sum_of_level in sums.items():
            binned = np.bincount(_BIN, weights=sum_of_level, minlength=NUM_BINS)
            found |= {f"{region}_{name}{k}": float(value) for k, value in enumerate(binned)}
    return found


def calibration_figures(rows: Mapping[str, NDArray[np.float64]]) -> dict[str, float | None]:
    """Return Brier score and expected calibration error over the pixels of all images; None without a pixel.

    ECE is the sum over bins of the bin's share of pixels times |mean p - share that is polyp|.

    Args:
        rows: Arrays of equal length by name, as ``calibration_counts`` names them.
    Source: Guo et al., ICML 2017, on the probability of the polyp.
    """
    figures: dict[str, float | None] = {}
    for region, suffix in zip(REGIONS, ("", "_band"), strict=True):
        n, p, y = reliability(rows, region)
        total = n.sum()
        sse = float(np.sum(rows[f"{region}_sse"]))
        figures[f"brier{suffix}"] = sse / float(total) if total else None
        figures[f"ece{suffix}"] = float(np.abs(p - y).sum() / total) if total else None
    return figures


def reliability(
    rows: Mapping[str, NDArray[np.float64]], region: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return by bin the pixels, the sum of their probabilities and how many are polyp, over all images."""
    n, p, y = (
        np.array([float(np.sum(rows[f"{region}_{name}{k}"])) for k in range(NUM_BINS)]) for name in ("n", "p", "y")
    )
    return n, p, y
