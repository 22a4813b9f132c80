"""Resizing against OpenCV, Pillow and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.data.pixels.resize import linear, resize_image, resize_mask


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.integers(1, 50),
    channels=st.sampled_from([0, 3]),
    seed=st.integers(0, 99),
)
def test_linear_as_opencv(height: int, width: int, size: int, channels: int, seed: int) -> None:
    cv2 = pytest.importorskip("cv2")
    shape = (height, width, channels) if channels else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    expected = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)
    assert linear(pixels, size).shape == expected.shape
    assert np.abs(linear(pixels, size).astype(int) - expected).max() <= 1


def test_linear_by_hand() -> None:
    pixels = np.array([[0, 99], [203, 40]], np.uint8)
    assert linear(pixels, 4)[0].tolist() == [0, 25, 74, 99]
    assert linear(pixels, 4)[:, 0].tolist() == [0, 51, 152, 203]
    assert linear(pixels, 1).tolist() == [[86]]
    assert linear(pixels, 2).tolist() == pixels.tolist()


def test_soft_masks_by_two_taps_do_not_ask_how_the_image_is_resized() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (64, 48), dtype=np.uint8)
    expected = linear(grey, 16)
    assert np.array_equal(resize_mask(grey, 16, "soft_linear", "antialias"), expected)
    assert not np.array_equal(resize_mask(grey, 16, "soft", "antialias"), expected)


def test_antialias_averages_where_linear_samples() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.ptp(resize_image(stripes, 16, "antialias")[:, 2:-2].astype(int)) <= 2
    expected = np.asarray(Image.fromarray(stripes).resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize_image(stripes, 16, "antialias"), expected)
    assert resize_image(stripes, 16, "linear").mean() == pytest.approx(128, abs=1)


@pytest.mark.parametrize("resize", ["antialias", "linear"])
def test_binary_mask_keeps_area_and_two_levels(resize: str) -> None:
    y, x = np.mgrid[:288, :384]
    disc = (((y - 140) / 80) ** 2 + ((x - 200) / 110) ** 2 < 1).astype(np.uint8) * np.uint8(255)
    for mode in ("binary", "nearest"):
        small = resize_mask(disc, 96, mode, resize)  # type: ignore[arg-type]
        assert set(np.unique(small)) == {0, 255}
        assert small.mean() == pytest.approx(disc.mean(), rel=0.01)
    soft = resize_mask(disc, 96, "soft", resize)  # type: ignore[arg-type]
    assert len(np.unique(soft)) > 2
    assert soft.mean() == pytest.approx(disc.mean(), rel=0.01)


def test_nearest_takes_what_opencv_takes() -> None:
    cv2 = pytest.importorskip("cv2")
    mask = np.random.default_rng(0).integers(0, 256, (61, 83), dtype=np.uint8)
    expected = cv2.resize(mask, (40, 40), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(resize_mask(mask, 40, "nearest", "linear"), expected)
