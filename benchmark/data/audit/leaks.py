"""Find test images that training has seen: exact copies, near-duplicates, or frames of the same sequence."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from benchmark.data.listing.items import Item
from benchmark.data.splits.partition import Split
from benchmark.data.twins.find import Twins, find_twins

LeakKind = Literal["exact", "near", "sequence"]


class Leak(NamedTuple):
    """A test image that training or validation has seen.

    Attributes:
        id: Of the test image, in its set.
        twin: The training image, ``<dataset>/<id>``.
        dataset: That the test image is listed in; a test set of a split file may be called otherwise.
        kind: "exact" (it trains itself, or an image of equal decoded pixels does), "near" (the same picture re-encoded,
            resized, cropped, flipped...) or "sequence" (both show one scene). An image is listed once, by the first of
            these kinds that applies.
    """

    id: str
    twin: str
    kind: LeakKind
    dataset: str = ""


def find_leaks(split: Split, *, cache_dir: Path | None = None) -> dict[str, list[Leak]]:
    """Return, for every test set, its leaked images in order, each with the training image and the kind.

    Args:
        split: The split to search.
        cache_dir: Where hashes are kept between runs; None for the user's cache folder.
    Raises:
        BenchError: If an image cannot be read.
    """
    everything = dict.fromkeys(item for part in (split.train, split.val, *split.tests.values()) for item in part)
    return leaks_of(split, find_twins(list(everything), cache_dir=cache_dir))


def leaks_of(split: Split, twins: Twins) -> dict[str, list[Leak]]:
    """Return the leaked images of every test set, given which images of the split show the same picture."""
    trains = {*split.train, *split.val}
    partner: dict[Item, tuple[str, LeakKind]] = {
        item: (_name(item), "exact") for items in split.tests.values() for item in items if item in trains
    }
    for cluster in twins.exact:
        _mark(partner, cluster, cluster, trains, "exact")
    for trained, tested in twins.near_clusters():
        _mark(partner, trained, tested, trains, "near")
    frames: dict[str, list[Item]] = defaultdict(list)
    for item in (*split.train, *split.val):
        frames[item.group].append(item)
    for items in split.tests.values():
        for item in items:
            if item.group in frames:
                partner.setdefault(item, (_name(_nearest(item, frames[item.group])), "sequence"))
    return {
        name: [Leak(item.id, *partner[item], item.dataset) for item in items if item in partner]
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
    """Return the leaks of one test set for a record: the ids by kind, their numbers and the total.

    Args:
        leaks: Leaks of the whole set.
        items: The images that were scored; leaks of others do not count.
    """
    scored = {(item.dataset, item.id) for item in items}
    found = [leak for leak in leaks if (leak.dataset, leak.id) in scored]
    return {
        **count_leaks(found),
        "leaked": {kind: [leak.id for leak in found if leak.kind == kind] for kind in get_args(LeakKind)},
    }


def count_leaks(leaks: Iterable[Leak]) -> dict[str, int]:
    """Return ``num_leaked`` (all) and ``num_leaked_<kind>`` for each kind."""
    kinds = [leak.kind for leak in leaks]
    return {"num_leaked": len(kinds), **{f"num_leaked_{kind}": kinds.count(kind) for kind in get_args(LeakKind)}}


def _nearest(item: Item, frames: Sequence[Item]) -> Item:
    """Return the frame whose number is nearest."""
    return min(frames, key=lambda frame: abs(_number(frame) - _number(item)))


def _number(item: Item) -> int:
    digits = re.findall(r"\d+", item.id)
    return int(digits[-1]) if digits else 0


def _name(item: Item) -> str:
    return f"{item.dataset}/{item.id}"
