"""Pictures of a DICOM object: single and multi-frame, MONOCHROME1 and 2, RGB, palette and YBR. pydicom, an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.decode import MAX_PIXELS
from benchmark.errors import BenchError
from benchmark.prediction.sources import MAX_PREDICTED

Pixels = NDArray[np.uint8]


def read_header(path: Path) -> Any:
    """Read the data set without its pixels.

    Raises:
        BenchError: It is no readable DICOM object.
    """
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except Exception as error:  # pydicom raises what it likes on broken bytes
        raise BenchError(f"DICOM: cannot be read ({_line(error)})") from None


def count_frames(path: Path) -> int:
    """Frames that the object states; its size is checked before a pixel is decoded.

    Raises:
        BenchError: It holds no picture, or a larger one than is accepted.
    """
    header = read_header(path)
    try:
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        frames = int(header.get("NumberOfFrames") or 1)
        samples = int(header.get("SamplesPerPixel") or 1)
    except Exception as error:  # values are parsed when they are asked for
        raise BenchError(f"DICOM: its size cannot be read ({_line(error)})") from None
    if rows < 1 or columns < 1 or frames < 1:
        raise BenchError("DICOM: an object without a picture (no rows and columns)")
    if rows * columns > MAX_PREDICTED:
        raise BenchError(
            f"DICOM: {columns} x {rows} px, more than the {MAX_PREDICTED // 10**6} million that are predicted"
        )
    if rows * columns * samples > 4 * MAX_PIXELS:
        raise BenchError("DICOM: more samples than are read")
    return frames


def picture(path: Path, number: int = 0) -> Pixels:
    """One frame as (H, W, 3) uint8 RGB.

    YBR becomes RGB; a palette is applied; grey frames go through their modality and display windows (the first window
    where there are several) and are scaled to 0..255, MONOCHROME1 inverted.

    Raises:
        BenchError: It cannot be decoded.
    """
    import pydicom
    from pydicom.pixels import pixel_array

    try:
        dataset = pydicom.dcmread(path, specific_tags=_TAGS)
        pixels = np.asarray(pixel_array(path, index=number))
        return np.ascontiguousarray(_to_rgb(dataset, pixels))
    except BenchError:
        raise
    except Exception as error:  # as above; decoders of compressed pixels too
        raise BenchError(f"DICOM: frame {number + 1} cannot be decoded ({_line(error)})") from None


_TAGS = [
    "PhotometricInterpretation",
    "BitsStored",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "ModalityLUTSequence",
    "PixelRepresentation",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
]


def _to_rgb(dataset: Any, pixels: NDArray[Any]) -> Pixels:
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

    kind = str(dataset.get("PhotometricInterpretation", ""))
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        bits = 16 if pixels.dtype.itemsize == 2 else int(dataset.get("BitsStored") or 8)
        return _scaled(pixels[..., :3].astype(np.float64), 0, 2**bits - 1)
    if pixels.ndim != 2 or not kind.startswith("MONOCHROME"):
        raise BenchError(f"DICOM: pixels of shape {pixels.shape}, {kind or 'no photometric interpretation'}")
    values = np.asarray(apply_voi_lut(apply_modality_lut(pixels, dataset), dataset), dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    if pixels.dtype == np.uint8 and not ("WindowWidth" in dataset or "RescaleSlope" in dataset):
        low, high = 0.0, 255.0
    grey = _scaled(values, low, high)
    return np.repeat((255 - grey if kind == "MONOCHROME1" else grey)[..., None], 3, axis=2)


def _scaled(values: NDArray[np.float64], low: float, high: float) -> Pixels:
    return ((values - low) / max(high - low, 1e-9) * 255).round().clip(0, 255).astype(np.uint8)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
