"""Read image and mask files into arrays; handles every known quirk of these datasets.

Callers with an ``Item`` use ``files.read_item``, which knows colour order and mask threshold.

Rules, the same for images and masks:

* Pixels are taken as stored: an EXIF or TIFF orientation tag is ignored, since masks carry none.
* An alpha channel is dropped.
* Sixteen-bit samples are scaled to eight bits (divided by 257), unless none exceeds 255: then they are eight-bit
  values in wide samples and stay as they are.
* TIFFs go through tifffile wherever Pillow would refuse them or guess: CVC-ClinicDB tags three colour samples
  as BlackIsZero.
* * Anything but a picture of at most ``MAX_PIXELS`` in one of ``FORMATS`` is refused before decoding: Pillow would
  pass some formats to other programs, and a file of kilobytes can claim gigabytes.
* Of a file of several pictures (animated GIF, TIFF of many pages) the first is read.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from benchmark.data.files.time_limit import in_time
from benchmark.data.listing.items import MASK_THRESHOLD
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

T = TypeVar("T")
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP")  # a camera's MPO is opened as JPEG
MAX_PIXELS = 100_000_000
"""Width times height; 10,000 px square."""

_TIFF = frozenset({b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"})  # first bytes, also of BigTIFF; suffixes may be wrong
_MAX_SAMPLES = 8
_TURNED_BACK: dict[int, tuple[bool, tuple[int, ...]]] = {
    **{1: (False, ()), 2: (False, (1,)), 3: (False, (0, 1)), 4: (False, (0,))},
    **{5: (True, ()), 6: (True, (0,)), 7: (True, (0, 1)), 8: (True, (1,))},
}
"""By orientation tag: whether to swap rows and columns, then which axes to mirror, to restore the stored order."""
_MAX_COLOUR = 32  # channels of a grey JPEG may differ by rounding; beyond this a mask is coloured


def decode_image(path: Path) -> Pixels:
    """Read an image as (H, W, 3) uint8 RGB.

    Raises:
        BenchError: If the file is missing, empty, truncated or not an image.
    """
    pixels = _read(path)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    elif pixels.shape[2] == 2:
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3])


def decode_mask_grey(path: Path, *, threshold: int = MASK_THRESHOLD) -> Pixels:
    """Read a mask as (H, W) uint8 grey, with the levels that it has (ClinicDB's have more than two).

    Args:
        path: The file.
        threshold: Grey value of the later binarisation.
    Raises:
        BenchError: If the file cannot be read, is coloured, holds the mask in its alpha channel only, or has
            foreground values that never exceed ``threshold`` (labels 0 and 1 cut at 127), which would give an empty
            mask.
    """
    pixels = decode_grey(path)
    top = int(pixels.max())
    if 0 < top <= threshold and path.suffix.lower() not in (".jpg", ".jpeg"):
        raise BenchError(
            f"mask {path}: its greatest value is {top}, so no pixel exceeds {threshold}; "
            "expected 0 and 255: multiply it and save it again, or set mask_threshold in a manifest"
        )
    return pixels


def decode_grey(path: Path) -> Pixels:
    """Read a mask as (H, W) uint8 grey, whatever its levels.

    Raises:
        BenchError: If the file cannot be read, is coloured, or holds the mask in its alpha channel only.
    """
    pixels = _read(path)
    return np.ascontiguousarray(_grey(pixels, path) if pixels.ndim == 3 else pixels)


def _grey(pixels: Pixels, path: Path) -> Pixels:
    """Reduce a mask of several channels to one; all colour channels must agree."""
    colour = pixels[..., :1] if pixels.shape[2] == 2 else pixels[..., :3]
    if pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1]
        if colour.min() == colour.max() and alpha.min() != alpha.max():
            raise BenchError(f"mask {path}: its shape is in the alpha channel only; save it as black and white")
    if colour.shape[2] == 1:
        return colour[..., 0]
    red, green, blue = (np.ascontiguousarray(colour[..., channel]) for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):  # a reduction over the last axis is ten times slower
        return green
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    if int((high - low).max()) > _MAX_COLOUR:
        raise BenchError(f"mask {path} is coloured; expected black and white: save it as grey with 0 and 255")
    return green


def _read(path: Path) -> Pixels:
    """Return (H, W) or (H, W, C) uint8."""
    return _attempt(_decoded, path)


def _attempt(read: Callable[[Path], T], path: Path) -> T:
    """Return ``read(path)``; whatever it raises becomes one line."""
    try:
        return in_time(read, path)
    except BenchError:
        raise
    except Exception as error:  # decoders raise anything on broken bytes: OSError, SyntaxError, struct.error
        raise _unreadable(path, error) from error


def _decoded(path: Path) -> Pixels:
    _require_bytes(path)
    return _whole(_to_eight_bits(_read_tiff(path) if _is_tiff(path) else _read_pillow(path)))


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _TIFF


def _whole(pixels: Pixels) -> Pixels:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise ValueError(f"an array of shape {pixels.shape} is not a picture")
    return pixels


@contextmanager
def open_picture(path: Path) -> Iterator[Any]:
    """Open a file by Pillow: known formats of a bounded size only; nothing is decoded yet.

    Raises:
        ValueError: More pixels than ``MAX_PIXELS``.
        Exception: Whatever Pillow raises on bytes that are not a picture.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=FORMATS) as image:
            check_size(image.width, image.height)
            yield image


def check_size(width: int, height: int) -> None:
    """Refuse more pixels than ``MAX_PIXELS``.

    Raises:
        ValueError: Too many.
    """
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} px, more than the {MAX_PIXELS // 10**6} million pixels allowed")


def _require_bytes(path: Path) -> None:
    if path.stat().st_size == 0:
        raise BenchError(f"cannot read image {path}: it is empty (0 bytes); download or unpack it again")


def _unreadable(path: Path, error: Exception) -> BenchError:
    """Return the message for a file that a decoder refused."""
    detail = " ".join(str(error).split()) or type(error).__name__
    detail = detail.replace(repr(str(path)), "it").replace(str(path), "it")
    return BenchError(f"cannot read image {path}: {detail}; download or unpack it again")


def _read_pillow(path: Path) -> NDArray[Any]:
    with open_picture(path) as image:
        return _pillow_pixels(image)


def _pillow_pixels(image: Any) -> NDArray[Any]:
    """Turn what Pillow opened into grey, grey + alpha, RGB or RGBA samples, (H, W) or (H, W, C), as stored."""
    tag = orientation(image) if image.format == "TIFF" else 1
    samples = _samples(image)  # Pillow turns a TIFF by its tag while it loads; JPEGs stay as stored
    swapped, mirrored = _TURNED_BACK[tag]
    samples = np.flip(np.swapaxes(samples, 0, 1) if swapped else samples, mirrored)
    return np.ascontiguousarray(samples)


def _samples(image: Any) -> NDArray[Any]:
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    known = image.mode in ("L", "LA", "RGB", "RGBA", "F") or image.mode.startswith("I")
    if not known:  # palettes, CMYK, YCbCr
        image = image.convert("RGB")
    return np.asarray(image)


def _read_tiff(path: Path) -> NDArray[Any]:
    """Read the first page, by tifffile where it is plain samples, by Pillow where colours need conversion."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it reports broken tags besides raising
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        check_size(page.imagewidth, page.imagelength * page.imagedepth)
        kind = int(page.photometric)
        plain = kind in (1, 2) and page.dtype is not None and page.dtype.kind == "u" and page.bitspersample in (8, 16)
        plain = plain and page.samplesperpixel <= _MAX_SAMPLES
        odd = kind == 1 and page.samplesperpixel >= 3
        if plain and (odd or int(page.compression) == 1):
            pixels = page.asarray()
            return np.moveaxis(pixels, 0, 2) if pixels.ndim == 3 and int(page.planarconfig) == 2 else pixels
    return _read_pillow(path)


def _to_eight_bits(pixels: NDArray[Any]) -> Pixels:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind not in "ui" or pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"samples of type {pixels.dtype} are not supported, expected 8 or 16 bits")
    if pixels.max() <= 255:
        return pixels.astype(np.uint8)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def orientation(image: Any) -> int:
    """Return the orientation tag of what Pillow opened, 1 (upright) to 8; 1 where there is none or it is no number."""
    from PIL import ExifTags

    tag = image.getexif().get(ExifTags.Base.Orientation, 1)
    return tag if tag in _TURNED_BACK else 1


def image_shape(path: Path) -> tuple[int, int]:
    """Return height and width in pixels, as stored, from the header alone.

    Raises:
        BenchError: If the header cannot be read.
    """
    return _attempt(_shape, path)


def _shape(path: Path) -> tuple[int, int]:
    _require_bytes(path)
    if _is_tiff(path):
        import tifffile

        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            check_size(page.imagewidth, page.imagelength * page.imagedepth)
            return page.imagelength, page.imagewidth
    with open_picture(path) as image:
        return image.height, image.width


def describe(path: Path) -> str:
    """Return format and samples of an image file from its header, e.g. "JPEG RGB" or "TIFF 3x8 BlackIsZero".

    Raises:
        BenchError: If the header cannot be read.
    """
    return _attempt(_described, path)


def _described(path: Path) -> str:
    _require_bytes(path)
    return _describe_tiff(path) if _is_tiff(path) else _describe_pillow(path)


def _describe_tiff(path: Path) -> str:
    import tifffile

    names = {0: "WhiteIsZero", 1: "BlackIsZero", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        kind = names.get(int(page.photometric), str(int(page.photometric)))
        return f"TIFF {page.samplesperpixel}x{page.bitspersample} {kind}"


def _describe_pillow(path: Path) -> str:
    with open_picture(path) as image:
        turned = orientation(image)
        note = f", EXIF orientation {turned} (ignored)" if turned != 1 else ""
        return f"{image.format} {image.mode}{note}"
