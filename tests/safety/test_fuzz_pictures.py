"""Pictures and maps of which any byte may be anything, and those that are whole but strange."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fuzzing import one_line, torn, within
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.data.files.decode import decode_image, decode_mask_grey, describe
from benchmark.data.files.maps import MapFault, read_map, read_values
from benchmark.errors import BenchError
from benchmark.prediction.sources import read_upright

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def array(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


RGB = Image.fromarray(PIXELS)
WHOLE: dict[str, list[bytes]] = {
    ".png": [
        *(saved(RGB.convert(mode), "PNG") for mode in ("RGB", "RGBA", "L", "LA", "P", "1")),
        saved(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
        saved(RGB, "GIF", save_all=True, append_images=[RGB.rotate(90)]),
        saved(RGB, "WEBP"),
    ],
    ".jpg": [saved(RGB.convert(mode), "JPEG") for mode in ("RGB", "L", "CMYK")],
    ".bmp": [saved(RGB, "BMP"), saved(RGB.convert("1"), "BMP"), saved(RGB.convert("P"), "BMP")],
    ".tif": [
        tiff(PIXELS, photometric="minisblack", planarconfig="contig"),
        tiff(np.moveaxis(PIXELS, 2, 0), photometric="rgb", planarconfig="separate"),
        tiff(GREY.astype(np.uint16) * 257),
        tiff(GREY, tile=(16, 16)),
        saved(RGB, "TIFF", compression="tiff_lzw"),
        saved(RGB.convert("CMYK"), "TIFF"),
    ],
    ".npy": [array(GREY), array(GREY / 255), array(PIXELS), array(np.array([{}], dtype=object))],
}
READERS = (decode_image, decode_mask_grey, describe, read_values, read_map, read_upright)


@pytest.mark.parametrize("suffix", WHOLE)
@given(data=st.data())
def test_any_byte_may_be_anything(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(data.draw(torn(WHOLE[suffix])))
    for read in READERS:
        found = one_line(lambda read=read: read(path), suffix, MapFault)
        assert not isinstance(found, np.ndarray) or found.size <= 4 * 10**6, "no picture of these grows so"


@given(content=st.binary(max_size=300), suffix=st.sampled_from(sorted(WHOLE)))
def test_bytes_that_never_were_a_picture(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(content)
    for read in READERS:
        one_line(lambda read=read: read(path), "no picture", MapFault)


def png_head(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that claims any size; its pixels are zeros that compress well."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def tiff_head(width: int, height: int) -> bytes:
    content = bytearray(tiff(GREY))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        tags = file.pages.first.tags
        for name, value in (("ImageWidth", width), ("ImageLength", height)):
            struct.pack_into("<I", content, tags[name].valueoffset, value)
            struct.pack_into("<H", content, tags[name].offset + 2, 4)
    return bytes(content)


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (20_000, 6_000)], ids=str)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_bombs_are_refused_by_their_head(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes((png_head if suffix == ".png" else tiff_head)(*size))
    for read in (decode_image, decode_mask_grey):
        with within(20), pytest.raises(BenchError, match=r"pixels|cannot read") as caught:
            read(path)
        assert size != (20_000, 6_000) or "100 million pixels" in str(caught.value), "Pillow alone would read it"
    with pytest.raises(MapFault):
        read_values(path)


def test_an_array_that_claims_terabytes_is_refused_by_its_head(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (2**20, 2**20)})
    with within(20), pytest.raises(MapFault, match="not a map"):
        read_values(path)


def test_a_picture_that_other_programs_would_read_is_refused(tmp_path: Path) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    path = tmp_path / "image.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
    for read in (decode_image, decode_mask_grey, describe, read_map):
        with pytest.raises(BenchError, match=r"image\.png"):
            read(path)


@pytest.mark.parametrize("name", ["map.png", "map.npy", "map.tif"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with within(20), pytest.raises(MapFault, match="not a regular file"):
        read_values(tmp_path / name)
    with within(20), pytest.raises(BenchError):
        decode_image(tmp_path / name)


def test_first_picture_of_an_animated_gif(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(saved(RGB.quantize(256), "GIF", save_all=True, append_images=[RGB.rotate(180).quantize(256)]))
    np.testing.assert_array_equal(decode_image(path), np.asarray(RGB.quantize(256).convert("RGB")))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_eight_thousand_pixels_square(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"huge{suffix}"
    Image.new("RGB", (8000, 8000), (9, 8, 7)).save(path)
    assert decode_image(path).shape == (8000, 8000, 3)


@pytest.mark.parametrize("side", [1, 8])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_tiny_pictures(tmp_path: Path, suffix: str, side: int) -> None:
    path = tmp_path / f"tiny{suffix}"
    Image.new("RGB", (side, side), (255, 255, 255)).save(path)
    assert decode_image(path).shape == (side, side, 3) and decode_mask_grey(path).min() > 250
