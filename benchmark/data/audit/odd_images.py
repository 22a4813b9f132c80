"""Images that are not photographs: blank, drawn in a few colours, or a mask in place of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLE = 65_536
_BLANK_RANGE = 8  # grey levels, between the darkest and the brightest percent of the picture
_FEW = 8
_FLAT_SHARE = 0.9  # a photograph's eight commonest colours are its black frame and saturated spots: far less
_NEAR, _MASK_SHARE = 8, 0.98


def odd_image(pixels: NDArray[np.uint8]) -> str:
    """Return what is suspicious about an image, "" for a photograph.

    Args:
        pixels: (H, W, 3) RGB.
    """
    sample = pixels.reshape(-1, 3)[:: max(1, pixels.shape[0] * pixels.shape[1] // _SAMPLE)]
    low, high = np.percentile(sample, (1, 99), axis=0)
    if float((high - low).max()) <= _BLANK_RANGE:
        return "are blank"
    grey = sample[:, 0]
    is_grey = bool((sample == grey[:, None]).all())
    if is_grey and float(np.mean((grey < _NEAR) | (grey > 255 - _NEAR))) > _MASK_SHARE:
        return "are black and white: masks in place of images?"
    codes = sample.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    counts = np.sort(np.unique(codes, return_counts=True)[1])[::-1]
    if counts[:_FEW].sum() >= _FLAT_SHARE * len(codes):
        return f"consist of a handful of colours (at most {_FEW} cover {_FLAT_SHARE:.0%}): drawings, not photographs?"
    return ""
