"""Low-dose computed tomography: Poisson noise on the detector, carried back by filtered back-projection."""

from __future__ import annotations

import numpy as np

from benchmark.robustness.corruptions.base import Pixels, uniform_u16

NUM_ANGLES = 180
DENSEST_RAY = 4.0


def low_dose_ct(image: Pixels, photons: float, bits: np.random.PCG64) -> Pixels:
    """Add the noise of a scan with ``photons`` emitted per detector ray.

    The image is projected at 180 angles (Radon transform); the ray that absorbs most has a line integral of 4, about
    that of an abdomen. Each ray's count is Poisson, with at least one photon counted. Filtered back-projection
    is linear, so only the noise of the projections is reconstructed and added; the loss of sharpness stays out.
    """
    from skimage.transform import iradon, radon

    grey = image[..., 0].astype(np.float64)
    angles = np.arange(NUM_ANGLES) * (180.0 / NUM_ANGLES)
    clean = radon(grey, angles, circle=False)  # (rays, angles)
    scale = DENSEST_RAY / max(float(clean.max()), 1e-9)
    seed = int(uniform_u16((4,), bits).view("<u8")[0])
    counts = np.random.Generator(np.random.PCG64(seed)).poisson(photons * np.exp(-scale * clean))
    noise = -np.log(np.maximum(counts, 1) / photons) / scale - clean
    added = iradon(noise, angles, circle=False, output_size=max(grey.shape))
    height, width = grey.shape
    top, left = (added.shape[0] - height) // 2, (added.shape[1] - width) // 2
    noisy = grey + added[top : top + height, left : left + width]
    return np.repeat(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
