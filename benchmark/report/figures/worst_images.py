"""A picture of the worst test images: image, mask and map, side by side."""

from __future__ import annotations

import io as buffers
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.files.maps import read_map
from benchmark.data.files.read_item import read_image, read_mask
from benchmark.data.listing.items import Item
from benchmark.metrics.aggregate import worst_first
from benchmark.store import io

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

NUM_WORST = 4
_SIDE_PX = 160
_LINE_PX = 14


def draw_worst(path: Path, rows: pd.DataFrame, items: Sequence[Item], map_of: Callable[[Item], Path]) -> None:
    """Write one PNG with a line of three tiles for each of the four images of least Dice, the worst first.

    Args:
        path: The file.
        rows: Per-image rows of one test set; those of the first protocol are used.
        items: Its images.
        map_of: Path of an image's map.
    """
    from PIL import Image, ImageDraw

    by_id = {item.id: item for item in items}
    first = rows[rows["protocol"] == rows["protocol"].iloc[0]]
    worst = first.iloc[worst_first(first["dice"])[:NUM_WORST]]
    sheet = Image.new("RGB", (3 * _SIDE_PX, len(worst) * (_SIDE_PX + _LINE_PX)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (image_id, dice) in enumerate(zip(worst["id"], worst["dice"], strict=True)):
        item, top = by_id[image_id], number * (_SIDE_PX + _LINE_PX)
        pen.text((2, top + 1), f"{image_id}: Dice {dice:.3f} (image, truth, map)", fill="black")
        truth = np.uint8(255) * read_mask(item).astype(np.uint8)
        for column, pixels in enumerate((read_image(item), truth, read_map(map_of(item)))):
            sheet.paste(_tile(pixels), (column * _SIDE_PX, top + _LINE_PX))
    payload = buffers.BytesIO()
    sheet.save(payload, format="PNG")
    io.write_bytes(path, payload.getvalue())


def _tile(pixels: NDArray[np.uint8]) -> Any:
    """(H, W) or (H, W, 3) -> a square tile with the whole image in it."""
    from PIL import Image, ImageOps

    return ImageOps.pad(Image.fromarray(pixels).convert("RGB"), (_SIDE_PX, _SIDE_PX), color="grey")
