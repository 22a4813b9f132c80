"""An audit as one self-contained page: pairs side by side, pixels embedded (so it is never committed)."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.audit.report import dice_of, name_of
from benchmark.data.files.outline import draw_outline
from benchmark.data.files.read_item import read_image, read_mask
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.data.audit.search import Audit, Conflict
    from benchmark.data.listing.items import Item

MAX_ROWS = 200
"""Rows shown in one section: an image takes about 8 KB of the page. The JSON has all of them."""

_HEIGHT = 160
_OUTLINE = (0, 255, 120)


@dataclass(frozen=True)
class Picture:
    """One embedded image: its name, a data URI ("" where it cannot be read), its size on the page in pixels."""

    name: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Entry:
    """Pictures that belong together, with their captions."""

    text: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Section:
    """One kind of finding."""

    id: str
    title: str
    text: str
    entries: tuple[Entry, ...]
    total: int
    open: bool = True


def to_html(audit: Audit) -> str:
    """Return the page; it loads nothing from the network."""
    from jinja2 import Environment

    template = (files("benchmark.data.audit") / "templates" / "audit.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    sections = [section for section in _sections(audit) if section.total]
    return environment.from_string(template).render(
        audit=audit, sections=sections, total=sum(map(len, audit.items.values()))
    )


def _sections(audit: Audit) -> Iterable[Section]:
    inner = [c for c in audit.exact if len({item.dataset for item in c}) < len(c)]
    spread = [c for c in audit.exact if len({item.dataset for item in c}) == len(c)]
    known = audit.by_name
    for name, leaks in audit.leaks.items():
        entries = [
            Entry(
                f"{leak.kind}: {name}/{leak.id} is in test, {leak.twin} in training",
                (_show(known[f"{leak.dataset}/{leak.id}"]), _show(known[leak.twin])),
            )
            for leak in leaks[:MAX_ROWS]
        ]
        text = "Left: the test image. Right: the training image that it repeats."
        yield Section(f"leaks-{name}", f"Leaked test images of {name}", text, tuple(entries), len(leaks))
    yield Section(
        "conflicts",
        "Identical images whose masks differ",
        "The outline of each mask, and the Dice of each pair that differs.",
        tuple(_conflict(one) for one in audit.conflicts[:MAX_ROWS]),
        len(audit.conflicts),
    )
    yield Section(
        "exact",
        "Identical images in one set",
        "Equal decoded pixels, whatever the file format.",
        tuple(_cluster(cluster) for cluster in inner[:MAX_ROWS]),
        len(inner),
    )
    for same, name, title in (
        (False, "near", "Near-duplicates"),
        (True, "near-sequence", "Near-duplicates within known sequences"),
    ):
        pairs = [pair for pair in audit.near if pair.same_group is same]
        entries = [
            Entry(
                f"correlation {pair.correlation:.3f}" + (f", mirrored {pair.mirrored}" if pair.mirrored else ""),
                (_show(pair.first), _show(pair.second)),
            )
            for pair in sorted(pairs, key=lambda one: -one.correlation)[:MAX_ROWS]
        ]
        text = "One picture re-encoded, resized, cropped, mirrored or brightened, or two frames that hardly differ."
        yield Section(name, title, text, tuple(entries), len(pairs), open=not same)
    yield Section(
        "spread",
        "Images that occur in several datasets",
        "Equal decoded pixels in different datasets.",
        tuple(_cluster(cluster) for cluster in spread[:MAX_ROWS]),
        len(spread),
        open=False,
    )


def _cluster(items: Sequence[Item]) -> Entry:
    return Entry(f"{len(items)} images", tuple(map(_show, items)))


def _conflict(one: Conflict) -> Entry:
    values = dice_of(one)
    shown = ", ".join(values[:12]) + (f" and {len(values) - 12} more" if len(values) > 12 else "")
    return Entry(f"Dice of masks {shown}", tuple(_outlined(item) for item in one.items))


@cache
def _show(item: Item) -> Picture:
    try:
        return _picture(name_of(item), read_image(item))
    except BenchError:
        return Picture(name_of(item), "", 0, 0)


def _outlined(item: Item) -> Picture:
    """Return the image with its mask's outline, two pixels wide at the page's size."""
    try:
        pixels, mask = read_image(item), read_mask(item)
    except BenchError:
        return _show(item)
    if mask.shape == pixels.shape[:2]:
        pixels = draw_outline(pixels, mask, _OUTLINE, width=max(1, round(2 * pixels.shape[0] / _HEIGHT)))
    return _picture(name_of(item), pixels)


def _picture(name: str, pixels: NDArray[np.uint8]) -> Picture:
    from PIL import Image

    width = max(1, round(_HEIGHT * pixels.shape[1] / pixels.shape[0]))
    small = Image.fromarray(pixels).resize((width, _HEIGHT), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(name, uri, width, _HEIGHT)
