"""Read masks of unknown origin, of any unambiguous kind, and report the kind.

The datasets' masks go through ``decode``; these are masks against which maps of other methods are scored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.decode import decode_grey, describe
from benchmark.data.files.maps import MapFault, read_values
from benchmark.data.files.read_item import read_mask_grey
from benchmark.data.listing.items import MASK_THRESHOLD, Item
from benchmark.errors import BenchError

KINDS = {
    "0/1": "hold 0 and 1 only; 1 is read as foreground",
    "1-bit": "are 1-bit; read as 0 and 255",
    "16-bit": "are 16-bit; read as 8 bits",
    "soft": f"have intermediate grey levels; foreground is above {MASK_THRESHOLD}",
    "inverted": "look inverted: most of the image and of its border is foreground; scored unchanged",
    "empty": "have no foreground: Dice is 0 whatever the map",
}
"""What may be unusual about a mask, and how it was read."""

_SOFT_LEVELS = (32, 223)
_SOFT_SHARE = 0.01  # ClinicDB's masks, smoothed at their outlines, reach 0.002 of their foreground


def read_truth(item: Item) -> NDArray[np.uint8]:
    """Read an item's mask as (H, W) uint8 grey, foreground high; labels 0 and 1 become 0 and 255.

    Raises:
        BenchError: Unreadable, coloured, its shape in the alpha channel only, or labels other than 0 and 1.
    """
    return look_at_truth(item)[0]


def look_at_truth(item: Item) -> tuple[NDArray[np.uint8], list[str]]:
    """Read a mask as ``read_truth`` does, and return the keys of ``KINDS`` that hold for it."""
    if item.mask_threshold != MASK_THRESHOLD or item.mask_colours:  # its dataset defines its values
        grey = read_mask_grey(item)
        return grey, _looks(grey)
    path = item.mask_path
    grey, kinds = (_from_array if path.suffix.lower() == ".npy" else _from_image)(path)
    top = int(grey.max())
    if top == 1:
        grey, kinds = grey * np.uint8(255), [*kinds, "0/1"]
    elif 0 < top <= MASK_THRESHOLD:
        raise BenchError(
            f"mask {path}: its greatest value is {top}, so no pixel exceeds {MASK_THRESHOLD}; expected 0 and 255, "
            "or 0 and 1: multiply it and save it again"
        )
    return grey, kinds + _looks(grey)


def _from_image(path: Path) -> tuple[NDArray[np.uint8], list[str]]:
    grey, form = decode_grey(path), describe(path)
    samples = form.split(",")[0].split()[1]
    kinds = ["1-bit"] if samples in ("1", "1x1") else ["16-bit"] if samples.startswith("I") or "x16" in samples else []
    return grey, kinds


def _from_array(path: Path) -> tuple[NDArray[np.uint8], list[str]]:
    try:
        values = read_values(path)
    except MapFault as fault:
        raise BenchError(f"mask {path}: {fault}") from None
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 255:
            raise BenchError(f"mask {path}: expected numbers from 0 to 1 or to 255")
        values = np.rint(values * (255 if values.max() <= 1 else 1))
    elif values.min() < 0 or values.max() > 255:
        raise BenchError(f"mask {path}: values from {values.min()} to {values.max()}; expected 0 to 255")
    return np.ascontiguousarray(values.astype(np.uint8)), []


def _looks(grey: NDArray[np.uint8]) -> list[str]:
    foreground = grey > MASK_THRESHOLD
    num_fg = int(np.count_nonzero(foreground))
    if num_fg == 0:
        return ["empty"]
    between = np.count_nonzero((grey >= _SOFT_LEVELS[0]) & (grey <= _SOFT_LEVELS[1]))
    border = np.concatenate([foreground[0], foreground[-1], foreground[:, 0], foreground[:, -1]])
    inverted = num_fg > foreground.size / 2 and border.mean() > 0.5
    found = {"soft": between > _SOFT_SHARE * num_fg, "inverted": inverted}
    return [kind for kind, holds in found.items() if holds]
