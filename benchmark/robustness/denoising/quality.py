"""PSNR and SSIM of a restored 8-bit image. Only where the clean image is known: where we added the noise ourselves.

The data range is 255 always; one taken from the image would make two images' figures incomparable.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.errors import BenchError
from benchmark.robustness.corruptions.base import Pixels

DATA_RANGE = 255.0


def psnr(clean: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio over all pixels and channels, in dB; infinite for equal images; higher is better.

    Raises:
        BenchError: If the two differ in shape or are not 8-bit.
    """
    _check(clean, other)
    error = float(np.mean(np.square(clean.astype(np.float64) - other)))
    return 10 * math.log10(DATA_RANGE**2 / error) if error else math.inf


def ssim(clean: Pixels, other: Pixels) -> float:
    """Structural similarity, mean over pixels and channels, in [-1, 1]; higher is better.

    Gaussian window of 1.5 px, K1 = 0.01, K2 = 0.03, population covariance.

    Raises:
        BenchError: As ``psnr``.
    Source: Wang et al., IEEE TIP 13 (2004), as implemented in scikit-image.
    """
    from skimage.metrics import structural_similarity

    _check(clean, other)
    value = structural_similarity(
        clean,
        other,
        data_range=DATA_RANGE,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def _check(clean: Pixels, other: Pixels) -> None:
    if clean.dtype != np.uint8 or other.dtype != np.uint8:
        raise BenchError(f"images of {clean.dtype} and {other.dtype}: PSNR and SSIM take 8-bit images (uint8)")
    if clean.shape != other.shape:
        raise BenchError(f"images of shape {clean.shape} and {other.shape}: PSNR and SSIM compare equal shapes")
