"""Find test images that were trained on: equal decoded pixels, whatever the file format."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmark.data.hashing import file_hash, pixel_hash
from benchmark.data.items import Item
from benchmark.data.partition import Split
from benchmark.data.storage import default_cache_dir

Leak = tuple[str, str]
"""Id of the test image, and of the training image as ``<dataset>/<id>``."""

THREADS = 2


def count_leaks(split: Split, *, cache_dir: Path | None = None) -> dict[str, list[Leak]]:
    """Return, for every test set, the test images whose pixels are also in training or validation.

    Args:
        split: The split to look at.
        cache_dir: Where hashes are kept between runs; None for the user's cache folder.
    Raises:
        BenchError: If an image cannot be read.
    """
    known = split.train + split.val
    tests = [item for items in split.tests.values() for item in items]
    hashes = hash_pixels([item.image_path for item in (*known, *tests)], cache_dir=cache_dir)
    seen: dict[str, Item] = {}
    for item in known:
        seen.setdefault(hashes[item.image_path], item)
    return {
        name: [
            (item.id, f"{twin.dataset}/{twin.id}")
            for item in items
            if (twin := seen.get(hashes[item.image_path])) is not None
        ]
        for name, items in split.tests.items()
    }


def hash_pixels(paths: Iterable[Path], *, cache_dir: Path | None = None) -> dict[Path, str]:
    """Return the pixel hash of each file; what was decoded once is not decoded again.

    Hashes are kept by file content in a small database, whose loss or damage costs time only.
    """
    names = {path: file_hash(path) for path in dict.fromkeys(paths)}
    store = (cache_dir or default_cache_dir()) / "pixel-hashes.sqlite"
    known = _recall(store, set(names.values()))
    fresh = {name: path for path, name in names.items() if name not in known}
    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(fresh, pool.map(pixel_hash, fresh.values()), strict=True))
    _remember(store, found)
    known.update(found)
    return {path: known[name] for path, name in names.items()}


_TABLE = "CREATE TABLE IF NOT EXISTS v1 (file TEXT PRIMARY KEY, pixels TEXT NOT NULL)"


def _recall(store: Path, names: set[str]) -> dict[str, str]:
    with contextlib.suppress(sqlite3.Error):
        if store.is_file():
            with contextlib.closing(sqlite3.connect(store, timeout=10)) as database:
                rows = database.execute("SELECT file, pixels FROM v1")
                return {file: pixels for file, pixels in rows if file in names}
    return {}


def _remember(store: Path, found: dict[str, str]) -> None:
    if not found:
        return
    with contextlib.suppress(sqlite3.Error, OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(store, timeout=10)) as database, database:
            database.execute(_TABLE)
            database.executemany("INSERT OR REPLACE INTO v1 VALUES (?, ?)", found.items())
