"""Read a map that another program saved: PNG, JPEG, BMP, TIFF or NPY, as stored, one grey channel."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.decode import MAX_PIXELS, open_picture
from benchmark.data.files.time_limit import in_time
from benchmark.errors import BenchError

MAX_CHANNELS = 4
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy")


class MapFault(Exception):  # noqa: N818 (reads as what it says)
    """A map cannot be used: the kind of error, and one line about this file."""

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind}: {detail}" if detail else kind)


def read_values(path: Path) -> NDArray:
    """Read the stored values as (H, W): uint8, uint16 or another whole number, or float.

    Raises:
        MapFault: The file is unreadable, is coloured, has a varying alpha channel, or another shape.
    """
    try:
        values = in_time(_read_array if path.suffix.lower() == ".npy" else _read_image, path)
    except FileNotFoundError:
        raise MapFault("missing") from None
    except Exception as error:  # decoders raise anything on broken bytes: OSError, SyntaxError, struct.error
        raise MapFault("unreadable", " ".join(str(error).split()) or type(error).__name__) from None
    values = np.squeeze(values)
    if values.ndim == 3:
        values = _one_channel(values, is_array=path.suffix.lower() == ".npy")
    if values.ndim != 2 or values.dtype.kind not in "bufi":
        raise MapFault("unreadable", f"shape {values.shape}, type {values.dtype}; expected one grey channel")
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def _read_array(path: Path) -> NDArray:
    """Read an array whose header claims no more than a picture: numpy would allocate any amount of memory."""
    _require_plain(path)
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject or math.prod(shape) > MAX_CHANNELS * MAX_PIXELS:
        raise ValueError(f"an array of shape {shape} and type {dtype} is not a map")
    return np.load(path, allow_pickle=False)


def _require_plain(path: Path) -> None:
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise ValueError("not a regular file")


def _read_image(path: Path) -> NDArray:
    _require_plain(path)
    with open_picture(path) as image:
        if image.mode in ("P", "PA", "CMYK", "1", "YCbCr"):
            return np.asarray(image.convert({"1": "L", "PA": "RGBA"}.get(image.mode, "RGB")))
        return np.asarray(image)


def _one_channel(values: NDArray, *, is_array: bool) -> NDArray:
    """(H, W, C) with equal colours and a constant alpha channel, or (C, H, W) from an array file -> (H, W)."""
    if is_array and values.shape[0] in (2, 3, 4) and values.shape[2] not in (2, 3, 4):
        values = np.moveaxis(values, 0, -1)
    if is_array and values.shape[2] == 2:
        raise MapFault("two channels", "scores of two classes? save the polyp's probability alone, as (H, W)")
    if values.shape[2] in (2, 4):
        if (values[..., -1] != values[..., -1].flat[0]).any():
            raise MapFault("alpha varies", "save one grey channel")
        values = values[..., :-1]
    if (values != values[..., :1]).any():
        raise MapFault("coloured", "its channels differ; save one grey channel")
    return values[..., 0]


def read_map(path: Path) -> NDArray[np.uint8]:
    """Read an 8-bit single-channel PNG as (H, W) uint8.

    Raises:
        BenchError: Missing or unreadable.
    """
    try:
        with open_picture(path) as image:
            return np.asarray(image.convert("L") if image.mode != "L" else image)
    except FileNotFoundError:
        raise BenchError(f"map {path} is missing: run the cell again with --if-exists overwrite") from None
    except Exception as error:  # decoders raise anything on broken bytes
        raise BenchError(f"map {path} is unreadable ({error}); run the cell again with --if-exists overwrite") from None
