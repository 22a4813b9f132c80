"""A split as a value, and the random choices that make one."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.data.listing.datasets import dataset_info
from benchmark.data.listing.items import Item

Items = tuple[Item, ...]


@dataclass(frozen=True)
class Split:
    """The items of one split.

    Attributes:
        name: Split name, e.g. ``paper``.
        seed: Seed of its random choices.
        train: Training items, all datasets pooled.
        val: Validation items, pooled likewise.
        tests: Test items by dataset, in the order of the tables.
        missing: Datasets asked for and absent, with the reason: their table cells stay blank.
        partial: Datasets of which only a part is on disk, e.g. "205 of 612 images".
    """

    name: str
    seed: int
    train: Items
    val: Items
    tests: dict[str, Items]
    missing: dict[str, str] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)

    @property
    def synthetic(self) -> bool:
        """True where the images are phantoms."""
        return any(dataset_info(item.dataset).synthetic for item in self.train)

    def counts(self) -> list[dict[str, Any]]:
        """Return one row per dataset: images that train, validate and test, and number of groups."""
        counts = {
            "train": Counter(item.dataset for item in self.train),
            "val": Counter(item.dataset for item in self.val),
            "test": Counter({name: len(items) for name, items in self.tests.items()}),
        }
        groups: dict[str, set[str]] = {}
        for item in (*self.train, *self.val, *(item for items in self.tests.values() for item in items)):
            groups.setdefault(item.dataset, set()).add(item.group)
        return [
            {"dataset": name, **{side: count[name] for side, count in counts.items()}, "groups": len(of)}
            for name, of in groups.items()
        ]


def rank(seed: int, items: Sequence[Item]) -> list[Item]:
    """Return the items in a random order that depends on seed, dataset and id of each alone.

    So the order is the same on every machine, whatever the order of ``items``, and adding an image moves no other
    one relative to the rest.
    """
    return sorted(items, key=lambda item: _rank_key(seed, f"{item.dataset}/{item.id}"))


def _rank_key(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest()


def cut(seed: int, items: list[Item]) -> tuple[list[Item], list[Item], list[Item]]:
    """Cut items 7:1:2 into training, validation and test, each in the items' own order."""
    ranked, total = rank(seed, items), len(items)
    num_val = max(int(0.1 * total + 0.5), min(1, total // 3))
    num_test = max(int(0.2 * total + 0.5), min(1, total // 3))
    val, test = set(ranked[:num_val]), set(ranked[num_val : num_val + num_test])
    return (
        [item for item in items if item not in val and item not in test],
        [item for item in items if item in val],
        [item for item in items if item in test],
    )


def cut_groups(seed: int, items: Sequence[Item], sides: dict[str, str]) -> None:
    """Add the groups of one dataset to ``sides``, about 7:1:2 by images, each group whole.

    Args:
        seed: Decides the order in which groups are drawn.
        items: All items of the dataset.
        sides: Group to "train", "val" or "test"; groups already there keep their side.
    """
    sizes: dict[str, int] = defaultdict(int)
    for item in items:
        sizes[item.group] += 1
    room = {"test": int(0.2 * len(items) + 0.5), "val": max(int(0.1 * len(items) + 0.5), 1)}
    for group in sizes.keys() & sides.keys():
        if sides[group] in room:
            room[sides[group]] -= sizes[group]
    for group in sorted(sizes.keys() - sides.keys(), key=lambda name: _rank_key(seed, name)):
        sides[group] = next((side for side in room if room[side] > 0), "train")
        if sides[group] in room:
            room[sides[group]] -= sizes[group]


def deal_groups(seed: int, sizes: Mapping[str, int], folds: int, known: Mapping[str, int]) -> dict[str, int]:
    """Deal the groups of one dataset to folds of about equal size, each group whole.

    The largest groups are dealt first, each to the fold that holds fewest images; ties go by the seed's random order.

    Args:
        seed: Decides the order of groups of one size.
        sizes: Number of images of each group of the dataset.
        folds: How many folds.
        known: Fold of groups that other datasets have placed already, 0 to ``folds - 1``.
    Returns:
        Fold of each group of the dataset.
    """
    found = {group: known[group] for group in sizes.keys() & known.keys()}
    filled = [0] * folds
    for group, fold in found.items():
        filled[fold] += sizes[group]
    order = sorted(sizes.keys() - found.keys(), key=lambda group: (-sizes[group], _rank_key(seed, group)))
    for group in order:
        fold = min(range(folds), key=lambda one: (filled[one], _rank_key(seed, f"{group} {one}")))
        found[group] = fold
        filled[fold] += sizes[group]
    return found
