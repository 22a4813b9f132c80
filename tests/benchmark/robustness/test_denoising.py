"""The classical front ends, and PSNR and SSIM with a fixed data range."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.errors import BenchError
from benchmark.robustness.corruptions import corrupt
from benchmark.robustness.corruptions.base import Pixels
from benchmark.robustness.denoising.classical import FRONT_ENDS, denoise, noise_level
from benchmark.robustness.denoising.quality import psnr, ssim


@pytest.fixture(scope="module")
def clean() -> Pixels:
    """A smooth drawn image in colour, 96x120 px."""
    y, x = np.mgrid[:96, :120]
    return np.rint(np.stack([60 + x, 50 + y, 100 + 40 * np.sin(x / 20)], axis=2)).astype(np.uint8)


@pytest.fixture(scope="module")
def noisy(clean: Pixels) -> Pixels:
    return corrupt(clean, "gaussian_noise", severity=1, image_id="1")


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_front_end_is_a_pure_function_that_restores_a_noisy_image(name: str, clean: Pixels, noisy: Pixels) -> None:
    before = noisy.copy()
    result = denoise(noisy, name)
    assert np.array_equal(noisy, before) and not np.shares_memory(result, noisy)
    assert (result.shape, result.dtype) == (noisy.shape, np.uint8)
    assert np.array_equal(result, denoise(noisy, name))
    gained = psnr(clean, result) - psnr(clean, noisy)
    assert gained == 0 if name == "none" else gained > 4


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_flat_image_comes_back_as_it_is(name: str) -> None:
    flat = np.full((40, 48, 3), 77, np.uint8)
    with np.errstate(all="raise"):
        assert np.array_equal(denoise(flat, name), flat)


def test_front_ends_refuse_unknown_names_and_other_images() -> None:
    with pytest.raises(BenchError, match="unknown denoiser 'medain': did you mean 'median'"):
        denoise(np.zeros((40, 40, 3), np.uint8), "medain")
    with pytest.raises(BenchError, match="uint16"):
        denoise(np.zeros((40, 40, 3), np.uint16), "median")
    assert len({one.hash for one in FRONT_ENDS.values()}) == len(FRONT_ENDS)


def test_the_noise_level_is_found(clean: Pixels, noisy: Pixels) -> None:
    assert noise_level(noisy) == pytest.approx(0.08, rel=0.05)
    assert noise_level(clean) < 0.005


def test_psnr_uses_the_full_range_whatever_the_image_holds(clean: Pixels) -> None:
    dark = (clean // 8).astype(np.uint8)
    assert psnr(dark, dark + np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(clean, clean) == math.inf


def test_psnr_agrees_with_opencv(clean: Pixels, noisy: Pixels) -> None:
    import cv2

    assert psnr(clean, noisy) == pytest.approx(cv2.PSNR(clean, noisy), abs=1e-6)


def test_ssim_agrees_with_its_formula(clean: Pixels, noisy: Pixels) -> None:
    def smooth(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, (1.5, 1.5, 0), truncate=3.5, mode="reflect")

    x, y = clean.astype(float), noisy.astype(float)
    mean_x, mean_y = smooth(x), smooth(y)
    var_x, var_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    covariance = smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similar = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similar /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    edge = 5  # the window's reach, which the definition leaves out
    assert ssim(clean, noisy) == pytest.approx(float(similar[edge:-edge, edge:-edge].mean()), abs=1e-6)
    assert ssim(clean, clean) == 1


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_quality_refuses_other_shapes_and_types(measure, clean: Pixels) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BenchError, match="equal shapes"):
        measure(clean, clean[:-1])
    with pytest.raises(BenchError, match="8-bit"):
        measure(clean, clean.astype(np.float64))


def test_the_command_draws_a_sheet_of_corruptions_and_leaves_out_what_does_not_apply(shared_cache: Path) -> None:
    from benchmark.data.listing.datasets import list_dataset
    from benchmark.robustness.corruption_sheet import corruption_sheet

    item = list_dataset("phantom-kvasir", cache_dir=shared_cache)[0]
    sheet, drawn, unfit = corruption_sheet("title", item, ["all"])
    assert unfit == ["low_dose_ct"] and len(drawn) == 15 and sheet.width > 6 * 180
    with pytest.raises(BenchError, match="low_dose_ct on phantom-kvasir"):
        corruption_sheet("title", item, ["low_dose_ct"])
