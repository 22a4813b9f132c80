"""A sheet of corruptions: one image, a row per corruption, a column per severity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.files.read_item import read_image
from benchmark.robustness.corruptions import SEVERITIES, Pixels, applicable, corruption_seed

if TYPE_CHECKING:
    from PIL.Image import Image

    from benchmark.data.listing.items import Item

TILE_PX = 180
_GAP_PX, _LINE_PX, _NAME_PX = 6, 16, 150
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


def corruption_sheet(title: str, item: Item, names: Sequence[str]) -> tuple[Image, list[str], list[str]]:
    """Draw an image under corruptions at severities 1 to 5, each with the benchmark's own seed.

    Args:
        title: Line at the top.
        item: The image.
        names: Names and groups of corruptions.
    Returns:
        The sheet, the corruptions drawn, and those of a group that do not apply to the image.
    Raises:
        BenchError: An unknown name, one by name that does not apply, or an image that corruptions do not take.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    image = read_image(item)
    drawn, unfit = applicable(names, image, f"{item.dataset} {item.id}")
    step_x, step_y = TILE_PX + _GAP_PX, _tile(image).shape[0] + _GAP_PX
    size = (_NAME_PX + 6 * step_x + _GAP_PX, 3 * _LINE_PX + len(drawn) * step_y + _GAP_PX)
    sheet = Pillow.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    draw.text((_GAP_PX, _GAP_PX), title, _INK, ImageFont.load_default(14))
    for column, text in enumerate(["clean", *(f"severity {severity}" for severity in SEVERITIES)]):
        draw.text((_NAME_PX + column * step_x, 2 * _LINE_PX), text, _INK, font)
    for row, one in enumerate(drawn):
        top = 3 * _LINE_PX + row * step_y
        draw.text((_GAP_PX, top), one.title, _INK, font)
        made = [one(image, severity=s, seed=corruption_seed(item.id, one.name, s)) for s in SEVERITIES]
        for column, pixels in enumerate([image, *made]):
            sheet.paste(Pillow.fromarray(_tile(pixels)), (_NAME_PX + column * step_x, top))
    return sheet, [one.name for one in drawn], list(unfit)


def _tile(image: Pixels) -> Pixels:
    from PIL import Image as Pillow

    height = max(1, round(image.shape[0] * TILE_PX / image.shape[1]))
    return np.asarray(Pillow.fromarray(image).resize((TILE_PX, height), Pillow.Resampling.BILINEAR))
