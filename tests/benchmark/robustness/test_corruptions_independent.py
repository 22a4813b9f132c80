"""The common corruptions against corrupt-tta, an independent package with ImageNet-C's corruptions.

It is installed without its dependencies (tox.ini): it asks for opencv-python, which overwrites opencv-python-headless.
"""

from __future__ import annotations

import numpy as np
import pytest
from corrupt_tta import corrupt as reference

from benchmark.robustness.corruptions import CORRUPTIONS, SEVERITIES
from benchmark.robustness.corruptions.base import Pixels
from benchmark.robustness.corruptions.blur import disk_blur
from benchmark.robustness.denoising.quality import psnr


def texture() -> Pixels:
    """A drawn image with edges, gradients and fine structure, 224x224 px."""
    y, x = np.mgrid[:224, :224]
    waves = 90 + 50 * np.sin(x / 7) + 40 * np.cos(y / 11)
    disk = 60.0 * ((x - 100) ** 2 + (y - 120) ** 2 < 50**2)
    return np.clip(np.stack([waves + disk, waves, 200 - waves], axis=2), 0, 255).astype(np.uint8)


def theirs(image: Pixels, name: str, severity: int) -> Pixels:
    np.random.seed(severity)
    return np.clip(np.rint(reference(image, severity=severity, corruption_name=name)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "speckle_noise"])
def test_noise_has_the_same_law_at_every_grey_level(name: str, severity: int) -> None:
    for value in (20, 90, 160, 240):
        flat = np.full((224, 224, 3), value, np.uint8)
        ours = CORRUPTIONS[name](flat, severity=severity, seed=1).ravel()
        other = theirs(flat, name, severity).ravel()
        assert ours.mean() == pytest.approx(other.mean(), abs=1.2), value
        assert ours.std() == pytest.approx(other.std(), rel=0.015), value
        gap = np.abs(np.cumsum(np.bincount(ours, minlength=256) - np.bincount(other, minlength=256))).max()
        bound = 0.06 if name == "shot_noise" else 0.02  # few photons: a whole step moves where rounding differs
        assert gap / ours.size < bound, value


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("name", "other"), [("contrast", "contrast"), ("jpeg", "jpeg_compression")])
def test_what_draws_nothing_gives_the_same_pixels(name: str, other: str, severity: int) -> None:
    image = texture()
    ours = CORRUPTIONS[name](image, severity=severity, seed=0)
    assert np.abs(ours.astype(int) - theirs(image, other, severity)).max() <= 1  # it may truncate where we round


def test_a_disk_blurs_as_much_as_theirs_of_the_same_radius() -> None:
    image = texture()
    for severity, radius in ((1, 3.0), (2, 4.0), (3, 6.0)):
        other = theirs(image, "defocus_blur", severity)
        inner = slice(12, -12)  # borders are treated in another way
        right = psnr(disk_blur(image, radius)[inner, inner], other[inner, inner])
        wrong = psnr(disk_blur(image, radius * 1.6)[inner, inner], other[inner, inner])
        assert right > 33 and right > wrong + 4, (radius, right, wrong)
