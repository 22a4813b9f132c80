"""What is odd about a picture before any network sees it; each rule is stated in the warning that it gives.

The limits lie between what 300 endoscopy images at hand (Kvasir-SEG, CVC-ClinicDB) measure and what spoiled copies of
them do; ``python tests/perf/input_rules.py`` prints both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.prediction.findings import field_of_view

Pixels = NDArray[np.uint8]
SMALLEST_PX = 128
SHARPEST_BLUR = 1.5
"""Mean absolute Laplacian of the grey picture at about 256 px, in grey levels; real images have 2.79 at least,
blurred copies 0.91 at most."""
MOST_SATURATED = 0.10
"""Share of pixels whose three channels are all 250 or more; real images have 0.048 at most."""
LEAST_RED = 0.6
"""Share of the field's pixels that are redder than green; real images have 0.72 at least."""


def check_picture(image: Pixels, field: NDArray[np.bool_] | None = None) -> list[str]:
    """Warnings about an (H, W, 3) uint8 RGB picture; empty where nothing is odd.

    Args:
        image: The picture.
        field: Its field of view, if that is known already.
    """
    height, width = image.shape[:2]
    found = []
    if min(height, width) < SMALLEST_PX:
        found.append(f"too small: {width} x {height} px, below {SMALLEST_PX} px on a side")
    grey = is_grey(image)
    if grey:
        found.append("grey: its three channels are equal; the networks were trained on colour images")
    if min(height, width) >= SMALLEST_PX and sharpness(image) < SHARPEST_BLUR:
        found.append(f"blurred or flat: mean edge strength {sharpness(image):.2f}, below {SHARPEST_BLUR:g} grey levels")
    if (share := saturated(image)) > MOST_SATURATED:
        found.append(f"over-exposed: {share:.0%} of its pixels are white, above {MOST_SATURATED:.0%}")
    if not grey and (share := reddish(image, field)) < LEAST_RED:
        found.append(
            f"not like an endoscopy image: {share:.0%} of its field is redder than green, below {LEAST_RED:.0%}; "
            "the map means nothing on other pictures"
        )
    return found


def is_grey(image: Pixels) -> bool:
    """Whether its channels differ nowhere by more than 3 levels."""
    red, green, blue = (image[..., channel].astype(np.int16) for channel in range(3))
    return int(max(np.abs(red - green).max(), np.abs(green - blue).max(), np.abs(red - blue).max())) <= 3


def sharpness(image: Pixels) -> float:
    """Mean absolute Laplacian within the lit field, of the grey picture shrunk to about 256 px; grey levels."""
    from scipy.ndimage import binary_erosion, laplace

    grey = image @ np.full(3, 1 / 3, dtype=np.float32)
    step = max(1, round(min(grey.shape) / 256))
    rows, columns = (side // step for side in grey.shape)
    small = grey[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))
    inside = binary_erosion(small > 20, iterations=4)
    return float(np.abs(laplace(small)[inside]).mean()) if inside.any() else 0.0


def saturated(image: Pixels) -> float:
    """Share of pixels whose three channels are all 250 or more."""
    red, green, blue = (image[..., channel] >= 250 for channel in range(3))  # a reduction over channels is slower
    return float((red & green & blue).mean())


def reddish(image: Pixels, field: NDArray[np.bool_] | None = None) -> float:
    """Share of the field of view whose red exceeds its green."""
    inside = field_of_view(image) if field is None else field
    return float((image[..., 0] > image[..., 1])[inside].mean())
