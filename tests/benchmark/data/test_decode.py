"""Decoding against arrays written by independent encoders: every trap, and every broken file as one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from benchmark.data.files.decode import MASK_THRESHOLD, decode_image, decode_mask_grey, describe, image_shape
from benchmark.data.listing.items import Item
from benchmark.data.pixels.cache import load_pair
from benchmark.errors import BenchError


@pytest.fixture
def rgb(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def shape() -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    mask[4:11, 6:25] = True
    return mask


def decode_mask(path: Path) -> np.ndarray:
    return decode_mask_grey(path) > MASK_THRESHOLD


def smooth(height: int = 20, width: int = 30) -> np.ndarray:
    """A picture that JPEG keeps to a few levels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([60 + 4 * x, 50 + 5 * y, 120 + x + y], axis=2).astype(np.uint8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    suffix=st.sampled_from([".png", ".bmp", ".tif", ".tiff"]),
)
def test_lossless_formats_come_back_exactly(tmp_path: Path, pixels: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(decode_image(path), pixels)


def test_clinicdb_tiff_three_samples_tagged_black_is_zero(tmp_path: Path, rgb: np.ndarray) -> None:
    path = tmp_path / "1.tif"
    tifffile.imwrite(path, rgb, photometric="minisblack", planarconfig="contig", metadata=None)
    assert describe(path) == "TIFF 3x8 BlackIsZero"
    np.testing.assert_array_equal(decode_image(path), rgb)


def test_tiff_with_separate_planes(tmp_path: Path, rgb: np.ndarray) -> None:
    path = tmp_path / "1.tif"
    tifffile.imwrite(path, np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate", metadata=None)
    np.testing.assert_array_equal(decode_image(path), rgb)


@pytest.mark.parametrize("compression", ["packbits", "tiff_lzw", "tiff_deflate"])
def test_compressed_tiff(tmp_path: Path, rgb: np.ndarray, compression: str) -> None:
    path = tmp_path / "1.tiff"
    Image.fromarray(rgb).save(path, compression=compression)
    np.testing.assert_array_equal(decode_image(path), rgb)


def test_tiff_white_is_zero_is_inverted(tmp_path: Path, shape: np.ndarray) -> None:
    path = tmp_path / "p1.tif"
    tifffile.imwrite(path, np.where(shape, 0, 255).astype(np.uint8), photometric="miniswhite", metadata=None)
    np.testing.assert_array_equal(decode_mask(path), shape)


def test_first_page_of_many(tmp_path: Path, rgb: np.ndarray) -> None:
    path = tmp_path / "1.tif"
    tifffile.imwrite(path, np.stack([rgb, 255 - rgb]), photometric="rgb", metadata=None)
    np.testing.assert_array_equal(decode_image(path), rgb)


def test_jpeg_as_pillow_decodes_it(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.fromarray(smooth()).save(path, quality=95)
    np.testing.assert_array_equal(decode_image(path), np.asarray(Image.open(path)))
    assert np.abs(decode_image(path).astype(int) - smooth()).mean() < 4


def test_exif_rotation_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth()).save(path, exif=exif, quality=95)
    assert decode_image(path).shape == (20, 30, 3)
    assert "orientation 6" in describe(path)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.fromarray(smooth()).convert("CMYK").save(path, quality=100)
    assert np.abs(decode_image(path).astype(int) - smooth()).mean() < 4


def test_palette_image_goes_through_its_palette(tmp_path: Path) -> None:
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[:3], pixels[3:] = (200, 10, 30), (20, 240, 70)
    path = tmp_path / "image.png"
    Image.fromarray(pixels).quantize(4).save(path)
    assert Image.open(path).mode == "P"
    np.testing.assert_array_equal(decode_image(path), pixels)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L"])
def test_alpha_is_dropped_and_grey_repeated(tmp_path: Path, rgb: np.ndarray, mode: str) -> None:
    alpha = np.full((20, 30, 1), 90, np.uint8)
    pixels = {"RGBA": np.dstack([rgb, alpha]), "LA": np.dstack([rgb[..., 0], alpha[..., 0]]), "L": rgb[..., 0]}[mode]
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    assert Image.open(path).mode == mode
    expected = rgb if mode == "RGBA" else np.repeat(rgb[..., :1], 3, axis=2)
    np.testing.assert_array_equal(decode_image(path), expected)


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path, rgb: np.ndarray) -> None:
    grey, colour = tmp_path / "image.png", tmp_path / "image.tif"
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(grey)
    tifffile.imwrite(colour, rgb.astype(np.uint16) * 257, photometric="rgb", metadata=None)
    np.testing.assert_array_equal(decode_image(grey)[..., 1], rgb[..., 0])
    np.testing.assert_array_equal(decode_image(colour), rgb)


def test_eight_bit_values_in_sixteen_bit_samples_stay(tmp_path: Path, shape: np.ndarray) -> None:
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, shape.astype(np.uint16) * 255, metadata=None)
    np.testing.assert_array_equal(decode_mask(path), shape)


def test_one_bit_bitmap_mask(tmp_path: Path, shape: np.ndarray) -> None:
    path = tmp_path / "IMD003_lesion.bmp"
    Image.fromarray(shape).save(path)
    assert describe(path) == "BMP 1"
    np.testing.assert_array_equal(decode_mask(path), shape)
    assert set(np.unique(decode_mask_grey(path))) == {0, 255}


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_mask_with_equal_channels(tmp_path: Path, shape: np.ndarray, channels: int) -> None:
    pixels = np.repeat((shape * np.uint8(255))[..., None], channels, axis=2)
    pixels[..., 3:] = 255
    path = tmp_path / "IMD002_lesion.png"
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(decode_mask(path), shape)


def test_palette_mask_goes_through_its_palette(tmp_path: Path, shape: np.ndarray) -> None:
    image = Image.fromarray(shape.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    path = tmp_path / "mask.png"
    image.save(path)
    np.testing.assert_array_equal(decode_mask(path), shape)


def test_jpeg_mask_near_the_two_levels(tmp_path: Path, shape: np.ndarray) -> None:
    path = tmp_path / "mask.jpg"
    Image.fromarray(np.repeat((shape * np.uint8(255))[..., None], 3, axis=2)).save(path, quality=90)
    assert len(np.unique(decode_mask_grey(path))) > 2
    np.testing.assert_array_equal(decode_mask(path), shape)


def test_threshold_is_strictly_above_127(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[0, 1, 126, 127, 128, 255]], np.uint8)).save(path)
    assert decode_mask(path).tolist() == [[False, False, False, False, True, True]]
    assert decode_mask_grey(path).tolist() == [[0, 1, 126, 127, 128, 255]]


def test_empty_mask_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(path)
    assert decode_mask(path).sum() == 0


def one_line_error(path: Path, *, mask: bool = False) -> str:
    with pytest.raises(BenchError) as caught:
        (decode_mask if mask else decode_image)(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".tiff"])
def test_truncated_file_is_named(tmp_path: Path, rgb: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(np.tile(rgb, (5, 5, 1))).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "download or unpack it again" in one_line_error(path)


def test_truncated_compressed_tiff_is_named(tmp_path: Path, rgb: np.ndarray) -> None:
    path = tmp_path / "1.tiff"
    Image.fromarray(np.tile(rgb, (5, 5, 1))).save(path, compression="packbits")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    one_line_error(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_other_bytes_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    path.write_text("<html>404 not found</html>")
    one_line_error(path)
    with pytest.raises(BenchError, match="cannot read image"):
        describe(path)


def test_empty_and_absent_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    one_line_error(path)
    path.touch()
    assert "0 bytes" in one_line_error(path)


def test_mask_with_labels_zero_and_one_is_refused(tmp_path: Path, shape: np.ndarray) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(shape.astype(np.uint8)).save(path)
    assert "greatest value is 1" in one_line_error(path, mask=True)


def test_coloured_mask_is_refused(tmp_path: Path, shape: np.ndarray) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[shape] = (255, 0, 0)
    path = tmp_path / "mask.png"
    Image.fromarray(pixels).save(path)
    assert "coloured" in one_line_error(path, mask=True)


def test_mask_that_is_nearly_grey_is_read_by_its_green_channel(tmp_path: Path, shape: np.ndarray) -> None:
    pixels = np.where(shape[..., None], (255, 250, 240), (0, 6, 3)).astype(np.uint8)
    path = tmp_path / "mask.png"
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(decode_mask_grey(path), pixels[..., 1])


def test_mask_in_the_alpha_channel_only_is_refused(tmp_path: Path, shape: np.ndarray) -> None:
    pixels = np.full((20, 30, 4), 255, np.uint8)
    pixels[..., 3] = shape * 255
    path = tmp_path / "mask.png"
    Image.fromarray(pixels).save(path)
    assert "alpha" in one_line_error(path, mask=True)


def test_float_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.ones((5, 6), np.float32), metadata=None)
    assert "float32" in one_line_error(path)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize(("suffix", "packed"), [("tif", None), ("tif", "tiff_lzw"), ("jpg", None), ("png", None)])
def test_pixels_and_header_shape_are_those_stored_whatever_the_orientation(
    tmp_path: Path, tag: int, suffix: str, packed: str | None
) -> None:
    stored = np.zeros((48, 32), np.uint8)
    stored[:16, :8] = 255
    image, path = Image.fromarray(stored), tmp_path / f"turned.{suffix}"
    if suffix == "tif":
        image.save(path, compression=packed, tiffinfo={274: tag})
    else:
        exif = image.getexif()
        exif[274] = tag
        image.save(path, exif=exif)
    assert image_shape(path) == (48, 32)
    np.testing.assert_array_equal(decode_mask(path), stored > 127)
    (tmp_path / "turned.bmp").write_bytes(path.read_bytes())  # a suffix that tells nothing
    assert image_shape(tmp_path / "turned.bmp") == decode_mask(tmp_path / "turned.bmp").shape == (48, 32)


def test_unequal_sizes_name_the_orientation_tag(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("L", (30, 40)).save(tmp_path / "a.png")
    with pytest.raises(BenchError, match=r"a\.jpg is JPEG RGB, EXIF orientation 6 \(ignored\): save it upright"):
        load_pair(Item("x", "a", tmp_path / "a.jpg", tmp_path / "a.png", "a"))
