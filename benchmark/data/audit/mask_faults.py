"""Errors of masks that show only across files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.data.files.read_item import read_mask
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError

_LOOKED_AT = 60
_BORDER_SHARE = 0.9


def find_inverted(items: Sequence[Item]) -> str:
    """Return one line if most masks are foreground all along their border (black on white), else "".

    Up to 60 masks are read, evenly spaced; unreadable ones are reported elsewhere.
    """
    shares = [share for item in items[:: max(1, len(items) // _LOOKED_AT)] if (share := _border(item)) is not None]
    if not shares:
        return ""
    inverted = sum(share > _BORDER_SHARE for share in shares)
    if 2 * inverted <= len(shares):
        return ""
    folder: Path = items[0].mask_path.parent
    return (
        f"{inverted} of {len(shares)} masks looked at in {folder} look inverted: their border is foreground; "
        "foreground is white: subtract them from 255"
    )


def _border(item: Item) -> float | None:
    """Return which share of a mask's outermost pixels is foreground."""
    try:
        mask = read_mask(item)
    except BenchError:
        return None
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())
