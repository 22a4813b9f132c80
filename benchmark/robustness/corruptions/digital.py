"""Artefacts of recording: compression, low resolution, interlacing."""

from __future__ import annotations

import io

import numpy as np

from benchmark.robustness.corruptions.base import Pixels


def jpeg(image: Pixels, quality: float, bits: np.random.PCG64) -> Pixels:
    """Encode as baseline JPEG at ``quality`` (libjpeg's scale, 4:2:0) and decode."""
    stream = io.BytesIO()
    from PIL import Image

    Image.fromarray(image).save(stream, "JPEG", quality=int(quality))
    return np.array(Image.open(stream))


def down_sampling(image: Pixels, scale: float, bits: np.random.PCG64) -> Pixels:
    """Average down to ``scale`` of both sides and interpolate linearly back to its size."""
    height, width = image.shape[:2]
    from PIL import Image

    small = Image.fromarray(image).resize((int(width * scale), int(height * scale)), Image.Resampling.BOX)
    return np.array(small.resize((width, height), Image.Resampling.BILINEAR))


def interlacing(image: Pixels, shift: float, bits: np.random.PCG64) -> Pixels:
    """Move every second row sideways by ``shift`` (part of the width), as motion between two fields does."""
    result = image.copy()
    moved = max(1, round(shift * image.shape[1]))
    result[1::2, moved:] = image[1::2, :-moved]
    result[1::2, :moved] = image[1::2, :1]
    return result
