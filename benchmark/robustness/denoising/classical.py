"""Classical front ends from scikit-image: pure functions ``(H, W, 3) uint8 -> (H, W, 3) uint8``.

BM3D is not among them: the package ``bm3d`` (Tampere University) is free for non-commercial use only, and what uses it
may not be posted without consent. It cannot be a dependency of a package under the MIT licence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.config import config_hash
from benchmark.errors import unknown_name
from benchmark.robustness.corruptions.base import Pixels, check_image

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrontEnd:
    """A denoiser by name.

    Attributes:
        name: As given on the command line.
        title: As printed in tables.
        summary: One sentence on the method, with its source.
        options: Every parameter that is not estimated from the image.
        apply: ``(image, **options) -> image``.
        version: Increased with every change of its output.
    """

    name: str
    title: str
    summary: str
    apply: Callable[..., Pixels]
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 1

    def __call__(self, image: Pixels) -> Pixels:
        """Return the denoised image; the input is unchanged.

        Raises:
            BenchError: If the image is not (H, W, 3) uint8 with sides of at least 32 px.
        """
        check_image(image)
        return self.apply(image, **self.options)

    @property
    def label(self) -> str:
        """Name in results and tables."""
        return self.name

    @property
    def hash(self) -> str:
        """Eight hex digits over everything that decides the pixels."""
        return config_hash([self.name, self.options, self.version])


def noise_level(image: Pixels) -> float:
    """Estimate the standard deviation of the noise, in parts of full scale.

    Source: Donoho and Johnstone (1994): median absolute deviation of the finest wavelet coefficients;
    mean over channels.
    """
    from skimage.restoration import estimate_sigma

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # a flat channel has no coefficients: nan, which is no noise
        levels = estimate_sigma(_to_float(image), channel_axis=-1)
    return float(np.mean(np.nan_to_num(levels)))


def _none(image: Pixels) -> Pixels:
    return image.copy()


def _gaussian(image: Pixels, *, sigma_px: float) -> Pixels:
    from scipy.ndimage import gaussian_filter

    return _to_uint8(gaussian_filter(_to_float(image), (sigma_px, sigma_px, 0), mode="mirror"))


def _median(image: Pixels, *, side_px: int) -> Pixels:
    from PIL import Image, ImageFilter

    return np.array(Image.fromarray(image).filter(ImageFilter.MedianFilter(side_px)))


def _nlm(image: Pixels, *, patch_px: int, reach_px: int, strength: float) -> Pixels:
    from skimage.restoration import denoise_nl_means

    sigma = noise_level(image)
    if not sigma:  # a flat image has no noise, and a strength of zero no meaning
        return image.copy()
    return _to_uint8(
        denoise_nl_means(
            _to_float(image),
            patch_size=patch_px,
            patch_distance=reach_px,
            h=strength * sigma,
            sigma=sigma,
            fast_mode=True,
            channel_axis=-1,
        )
    )


def _tv(image: Pixels, *, strength: float) -> Pixels:
    from skimage.restoration import denoise_tv_chambolle

    sigma = noise_level(image)
    if not sigma:
        return image.copy()
    return _to_uint8(denoise_tv_chambolle(_to_float(image), weight=strength * sigma, channel_axis=-1))


def _wavelet(image: Pixels, *, wavelet: str) -> Pixels:
    from skimage.restoration import denoise_wavelet

    if not noise_level(image):
        return image.copy()
    return _to_uint8(
        denoise_wavelet(
            _to_float(image),
            wavelet=wavelet,
            method="BayesShrink",
            mode="soft",
            convert2ycbcr=True,
            rescale_sigma=True,
            channel_axis=-1,
        )
    )


def _to_float(image: Pixels) -> Floats:
    return image.astype(np.float32) / np.float32(255)


def _to_uint8(values: NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)


_ALL = (
    FrontEnd("none", "none", "The image as it is.", _none),
    FrontEnd("gaussian", "Gaussian", "Gaussian filter.", _gaussian, {"sigma_px": 1.0}),
    FrontEnd("median", "Median", "Median of a square, per channel.", _median, {"side_px": 3}),
    FrontEnd(
        "nlm",
        "NLM",
        "Non-local means (Buades et al., CVPR 2005) with the estimated noise level.",
        _nlm,
        {"patch_px": 5, "reach_px": 6, "strength": 0.8},
    ),
    FrontEnd(
        "tv", "TV", "Total variation (Chambolle, 2004), weighted by the estimated noise level.", _tv, {"strength": 1.0}
    ),
    FrontEnd("wavelet", "Wavelet", "BayesShrink (Chang et al., 2000) in YCbCr.", _wavelet, {"wavelet": "db2"}),
)

FRONT_ENDS: dict[str, FrontEnd] = {one.name: one for one in _ALL}


def get_front_end(name: str) -> FrontEnd:
    """Return a front end by name.

    Raises:
        BenchError: Unknown; the message gives the nearest name.
    """
    if name not in FRONT_ENDS:
        raise unknown_name("denoiser", name, FRONT_ENDS)
    return FRONT_ENDS[name]


def denoise(image: Pixels, name: str) -> Pixels:
    """Denoise an image (H, W, 3) uint8 with a front end by name.

    Raises:
        BenchError: Unknown name, or another type, shape or size of image.
    """
    return get_front_end(name)(image)
