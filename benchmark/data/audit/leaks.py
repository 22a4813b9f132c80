"""Find test images that were trained on: as they are, nearly so, or by a frame of their sequence."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from benchmark.data.files.generated import default_cache_dir
from benchmark.data.files.hashing import file_hash, hash_array, pixel_hash
from benchmark.data.files.read_item import read_image
from benchmark.data.listing.items import Item
from benchmark.data.splits.partition import Split
from benchmark.data.twins.find import Twins, find_twins

LeakKind = Literal["exact", "near", "sequence"]


class Leak(NamedTuple):
    """A test image that training or validation has seen.

    Attributes:
        id: Of the test image, in its set.
        twin: The training image, ``<dataset>/<id>``.
        kind: "exact" (equal decoded pixels), "near" (the same picture re-encoded, resized, cropped, flipped...) or
            "sequence" (both show one scene). An image is named once, by the first of these that holds.
    """

    id: str
    twin: str
    kind: LeakKind


THREADS = 2


def find_leaks(split: Split, *, cache_dir: Path | None = None) -> dict[str, list[Leak]]:
    """Return, for every test set, its leaked images in order, each with the training image and the kind.

    Args:
        split: The split to look at.
        cache_dir: Where hashes are kept between runs; None for the user's cache folder.
    Raises:
        BenchError: If an image cannot be read.
    """
    everything = dict.fromkeys(item for part in (split.train, split.val, *split.tests.values()) for item in part)
    return leaks_of(split, find_twins(list(everything), cache_dir=cache_dir))


def leaks_of(split: Split, twins: Twins) -> dict[str, list[Leak]]:
    """Return the leaked images of every test set, given which images of the split are one picture."""
    trains = {*split.train, *split.val}
    partner: dict[Item, tuple[str, LeakKind]] = {}
    for cluster in twins.exact:
        _mark(partner, cluster, cluster, trains, "exact")
    for trained, tested in twins.near_clusters():
        _mark(partner, trained, tested, trains, "near")
    for name, pairs in _sequence_leaks(split).items():
        frames = dict(pairs)
        for item in split.tests[name]:
            if item.id in frames:
                partner.setdefault(item, (frames[item.id], "sequence"))
    return {
        name: [Leak(item.id, *partner[item]) for item in items if item in partner]
        for name, items in split.tests.items()
    }


def _mark(
    partner: dict[Item, tuple[str, LeakKind]],
    trained: Sequence[Item],
    tested: Sequence[Item],
    trains: set[Item],
    kind: LeakKind,
) -> None:
    """Name the first training image of one cluster as the partner of the test images of another."""
    twin = next((item for item in trained if item in trains), None)
    if twin is not None:
        for item in tested:
            if item not in trains:
                partner.setdefault(item, (_name(twin), kind))


def leak_facts(leaks: Iterable[Leak], items: Iterable[Item]) -> dict[str, Any]:
    """Return what a record states of the leaks of one test set: ``num_leaked`` (exact) and ``leaked`` by kind.

    Args:
        leaks: Of the whole set.
        items: The images that were scored; leaks of others do not count.
    """
    ids = {item.id for item in items}
    by_kind: dict[str, list[str]] = {kind: [] for kind in get_args(LeakKind)}
    for leak in leaks:
        if leak.id in ids:
            by_kind[leak.kind].append(leak.id)
    return {"num_leaked": len(by_kind["exact"]), "leaked": by_kind}


def _sequence_leaks(split: Split) -> dict[str, list[tuple[str, str]]]:
    """Return the test images whose group trains, each with the frame nearest to it."""
    frames: dict[str, list[Item]] = defaultdict(list)
    for item in split.train + split.val:
        frames[item.group].append(item)
    return {
        name: [(item.id, _name(_nearest(item, frames[item.group]))) for item in items if item.group in frames]
        for name, items in split.tests.items()
    }


def _nearest(item: Item, frames: Sequence[Item]) -> Item:
    """Return the frame whose number is nearest."""
    return min(frames, key=lambda frame: abs(_number(frame) - _number(item)))


def _number(item: Item) -> int:
    digits = re.findall(r"\d+", item.id)
    return int(digits[-1]) if digits else 0


def _name(item: Item) -> str:
    return f"{item.dataset}/{item.id}"


def count_leaks(split: Split, *, cache_dir: Path | None = None) -> dict[str, list[tuple[str, str]]]:
    """Return, for every test set, the test images whose pixels are also in training or validation.

    Each comes with the training image, ``<dataset>/<id>``.

    Args:
        split: The split to look at.
        cache_dir: Where hashes are kept between runs; None for the user's cache folder.
    Raises:
        BenchError: If an image cannot be read.
    """
    known = split.train + split.val
    tests = [item for items in split.tests.values() for item in items]
    hashes = hash_pixels([item.image_path for item in (*known, *tests)], cache_dir=cache_dir)
    hashes |= {one.image_path: hash_array(read_image(one)) for one in (*known, *tests) if one.channels != "rgb"}
    seen: dict[str, Item] = {}
    for item in known:
        seen.setdefault(hashes[item.image_path], item)
    return {
        name: [(item.id, _name(twin)) for item in items if (twin := seen.get(hashes[item.image_path])) is not None]
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
