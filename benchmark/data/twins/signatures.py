"""What the audit keeps of an image: a hash of its pixels and a small grey picture; kept by file content."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.files.decode import decode_image
from benchmark.data.files.generated import default_cache_dir
from benchmark.data.files.hashing import file_hash, hash_array
from benchmark.data.files.read_item import read_image
from benchmark.data.listing.items import Item

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 64
"""Side of the grey picture in pixels; an image of any shape is squeezed to a square."""

THREADS = 2
_BATCH = 64  # images decoded before their signatures are written down: bounds memory and what a Ctrl-C loses

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Signatures:
    """Signatures of some images, in their order.

    Attributes:
        pixels: Hash of size and decoded RGB pixels; equal for equal pictures in any lossless format.
        thumbs: (N, 64, 64) uint8 grey, 4 KB an image.
    """

    pixels: tuple[str, ...]
    thumbs: NDArray[np.uint8]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pixels)


def read_signatures(
    paths: Sequence[Path], *, cache_dir: Path | None = None, progress: Progress = lambda *_: None
) -> Signatures:
    """Return the signatures of image files; a content that was decoded once is not decoded again.

    Args:
        paths: Image files; one may occur twice.
        cache_dir: Where signatures are kept; None for the user's cache folder. Its loss or damage costs time only.
        progress: Called with files done and in all.
    Raises:
        BenchError: If a file cannot be read.
    """
    names = [file_hash(path) for path in paths]
    store = (cache_dir or default_cache_dir()) / "signatures.sqlite"
    known = _recall(store, set(names))
    fresh = {name: path for name, path in zip(names, paths, strict=True) if name not in known}
    waiting = list(fresh.items())
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            made = dict(zip((n for n, _ in batch), pool.map(_signature, (p for _, p in batch)), strict=True))
            _remember(store, made)
            known.update(made)
            progress(start + len(batch), len(waiting))
    thumbs = np.empty((len(names), SIDE, SIDE), np.uint8)
    for row, name in enumerate(names):
        thumbs[row] = np.frombuffer(known[name][1], np.uint8).reshape(SIDE, SIDE)
    return Signatures(tuple(known[name][0] for name in names), thumbs)


def with_channels(signatures: Signatures, items: Sequence[Item]) -> Signatures:
    """Return signatures with colours in the datasets' order; those of images stored as BGR are never cached."""
    pixels, thumbs = list(signatures.pixels), signatures.thumbs
    for row, item in enumerate(items):
        if item.channels != "rgb":
            image = read_image(item)
            pixels[row], thumbs[row] = hash_array(image), thumbnail(image)
    return Signatures(tuple(pixels), thumbs)


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, 3) RGB as (64, 64) grey, antialiased."""
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0))


def _signature(path: Path) -> tuple[str, bytes]:
    pixels = decode_image(path)
    return hash_array(pixels), thumbnail(pixels).tobytes()


_TABLE = "CREATE TABLE IF NOT EXISTS v1 (file TEXT PRIMARY KEY, pixels TEXT NOT NULL, thumb BLOB NOT NULL)"


def _recall(store: Path, names: set[str]) -> dict[str, tuple[str, bytes]]:
    with contextlib.suppress(sqlite3.Error):
        if store.is_file():
            with contextlib.closing(sqlite3.connect(store, timeout=10)) as database:
                rows = database.execute("SELECT file, pixels, thumb FROM v1")
                return {file: (pixels, thumb) for file, pixels, thumb in rows if file in names and _is_whole(thumb)}
    return {}


def _is_whole(thumb: object) -> bool:
    return isinstance(thumb, bytes) and len(thumb) == SIDE * SIDE


def _remember(store: Path, made: dict[str, tuple[str, bytes]]) -> None:
    rows: Iterable[tuple[str, str, bytes]] = [(file, *one) for file, one in made.items()]
    with contextlib.suppress(sqlite3.Error, OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(store, timeout=10)) as database, database:
            database.execute(_TABLE)
            database.executemany("INSERT OR REPLACE INTO v1 VALUES (?, ?, ?)", rows)
