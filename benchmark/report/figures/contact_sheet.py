"""Overview of a dataset: a contact sheet with mask outlines, and statistics of sizes and polyps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.files.outline import draw_ring
from benchmark.data.files.read_item import read_mask
from benchmark.data.listing.datasets import dataset_info
from benchmark.data.listing.items import MASK_THRESHOLD, Item
from benchmark.data.pixels.cache import load_pair
from benchmark.errors import BenchError
from benchmark.metrics import mask_facts
from benchmark.metrics.strata import SIZE_BINS
from benchmark.runtime.atomic import write_through

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    Pixels = NDArray[np.uint8]

TILE_PX = 220
COLUMNS = 6
_CAPTION_PX, _GAP_PX = 30, 8
_LINE, _HALO = (255, 235, 0), (0, 0, 0)  # yellow on black is visible on tissue, skin and highlights
_PAPER, _INK = (255, 255, 255), (20, 20, 20)
_QUANTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Overview:
    """Statistics of a dataset's masks.

    Attributes:
        name: Dataset name.
        title: As printed in tables.
        synthetic: True where the images are drawn by this package.
        num_images: Pairs.
        num_groups: Sequences, patients and duplicate clusters, single images included.
        width_px: Least, median and greatest width.
        height_px: The same of heights.
        area_rel: Quantiles of the foreground's share of the image: 5, 25, 50, 75 and 95 %.
        size_bins: Images by size of the foreground: empty, small (below 5 % of the image), medium, large (from 15 %).
        num_polyps: Images by number of 8-connected parts of the mask.
        num_at_border: Images whose mask touches the border.
    """

    name: str
    title: str
    synthetic: bool
    num_images: int
    num_groups: int
    width_px: dict[str, float]
    height_px: dict[str, float]
    area_rel: dict[str, float]
    size_bins: dict[str, int]
    num_polyps: dict[str, int]
    num_at_border: int

    def to_text(self) -> str:
        """Return lines for a terminal."""
        width, height = ("{min:g} / {median:g} / {max:g} px".format(**one) for one in (self.width_px, self.height_px))
        area = ", ".join(f"{key} {value:.1%}" for key, value in self.area_rel.items())
        return "\n".join(
            [
                f"{self.title} ({self.name})" + (": synthetic" if self.synthetic else ""),
                f"  images       {self.num_images} in {self.num_groups} groups",
                f"  width        {width} (least / median / greatest)",
                f"  height       {height}",
                f"  polyp area   {area} of the image",
                f"  sizes        {_counts(self.size_bins)} (small below 5 %, large from 15 % of the image)",
                f"  parts        {_counts(self.num_polyps)} (images by connected parts of the mask)",
                f"  at border    {self.num_at_border}",
            ]
        )


def survey(name: str, items: Sequence[Item], progress: Callable[[int, int], None] = lambda *_: None) -> Overview:
    """Read every mask of a dataset and return its statistics.

    Raises:
        BenchError: If there is no item, or a mask cannot be read.
    """
    if not items:
        raise BenchError(f"dataset {name!r} has no images: bench data check {name} shows why")
    facts: list[dict[str, Any]] = []
    with ThreadPoolExecutor(2) as pool:
        for done, one in enumerate(pool.map(lambda item: mask_facts(read_mask(item)), items), 1):
            facts.append(one)
            progress(done, len(items))
    info = dataset_info(name)
    areas = np.percentile([one["area_rel"] for one in facts], _QUANTILES)
    parts = Counter(min(int(one["num_polyps"]), 4) for one in facts)
    bins = Counter(str(one["size_bin"]) for one in facts)
    return Overview(
        name,
        info.title,
        info.synthetic,
        len(items),
        len({item.group for item in items}),
        width_px=_range([one["width_px"] for one in facts]),
        height_px=_range([one["height_px"] for one in facts]),
        area_rel={f"p{q}": float(value) for q, value in zip(_QUANTILES, areas, strict=True)},
        size_bins={key: bins[key] for key in SIZE_BINS if bins[key]},
        num_polyps={("4 or more" if key == 4 else str(key)): parts[key] for key in sorted(parts)},
        num_at_border=sum(bool(one["touches_border"]) for one in facts),
    )


def spread(items: Sequence[Item], num: int) -> list[Item]:
    """At most ``num`` items, evenly spaced over the dataset's order."""
    num = min(num, len(items))
    return [items[i * len(items) // num] for i in range(num)]


def contact_sheet(title: str, items: Sequence[Item]) -> Image:
    """Draw items as tiles with the outline of the mask, its id, size and share of the image below.

    Raises:
        BenchError: If a file cannot be read or the sizes of a pair differ.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    columns = min(COLUMNS, len(items))
    rows = -(-len(items) // columns)
    step_x, step_y = TILE_PX + _GAP_PX, TILE_PX + _CAPTION_PX + _GAP_PX
    sheet = Pillow.new("RGB", (columns * step_x + _GAP_PX, rows * step_y + _CAPTION_PX + _GAP_PX), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    draw.text((_GAP_PX, _GAP_PX), title, _INK, ImageFont.load_default(14))
    for number, item in enumerate(items):
        image, grey = load_pair(item)
        mask = grey > MASK_THRESHOLD
        left, top = _GAP_PX + number % columns * step_x, _CAPTION_PX + _GAP_PX + number // columns * step_y
        tile = Pillow.fromarray(outlined(image, mask, TILE_PX))
        sheet.paste(tile, (left + (TILE_PX - tile.width) // 2, top + (TILE_PX - tile.height) // 2))
        size = f"{image.shape[1]}x{image.shape[0]}, {mask.mean():.1%}"
        draw.text((left, top + TILE_PX + 2), _clip(item.id, draw, font), _INK, font)
        draw.text((left, top + TILE_PX + 15), size, _INK, font)
    return sheet


def outlined(image: Pixels, mask: NDArray[np.bool_], box: int) -> Pixels:
    """Shrink an image (H, W, 3) to fit ``box`` px and draw the mask's outline on it.

    The mask is shrunk by its share of each pixel, so that a thin part of it stays visible.
    """
    from PIL import Image as Pillow

    scale = min(1.0, box / max(mask.shape))
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small = np.array(Pillow.fromarray(image).resize(size, Pillow.Resampling.BILINEAR))
    share = Pillow.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize(size, Pillow.Resampling.BOX)
    return draw_ring(small, np.asarray(share) > 64, _LINE, _HALO)


def save_sheet(sheet: Image, path: Path) -> None:
    """Write a picture as PNG atomically.

    Raises:
        BenchError: If the name does not end in .png, or the file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise BenchError(f"--out {path}: expected a file name that ends in .png")
    write_through(path, lambda file: sheet.save(file, "PNG", optimize=True))


def _range(values: Sequence[float]) -> dict[str, float]:
    return {"min": float(min(values)), "median": float(np.median(values)), "max": float(max(values))}


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{key}: {number}" for key, number in counts.items())


def _clip(text: str, draw: Any, font: Any) -> str:
    """Shorten a name in the middle until it fits below its tile."""
    short, keep = text, len(text)
    while draw.textlength(short, font) > TILE_PX and keep > 4:
        keep -= 2
        short = f"{text[: keep // 2]}...{text[-(keep // 2) :]}"
    return short
