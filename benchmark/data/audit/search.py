"""Find duplicate images within a dataset, across datasets, and across a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.data.audit.leaks import Leak, leaks_of
from benchmark.data.files.read_item import read_mask
from benchmark.data.listing.items import Item, natural_key
from benchmark.data.twins.find import NearPair, Twins, find_twins
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.data.splits.partition import Split

Say = Callable[[str, int, int], None]


class Conflict(NamedTuple):
    """Identical images whose masks differ.

    Attributes:
        items: The images, one cluster of equal pixels.
        dice: Dice of every two masks that differ, by position in ``items``, [0, 1].
        unreadable: Errors of masks that could not be compared.
    """

    items: tuple[Item, ...]
    dice: dict[tuple[int, int], float]
    unreadable: tuple[str, ...] = ()


class Containment(NamedTuple):
    """How many images of one set are also in another: identical, and identical or near-duplicate."""

    inner: str
    outer: str
    num_exact: int
    num_any: int
    of: int


class SameNames(NamedTuple):
    """File names that occur in two sets, which may mean the same images; names of digits only are ignored."""

    first: str
    second: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """Findings of an audit.

    Attributes:
        items: The images compared, by dataset.
        exact: Clusters of images with equal decoded pixels.
        near: Near-duplicate pairs, one pair per two clusters.
        conflicts: Clusters whose masks differ.
        containment: Every ordered pair of datasets that share an image.
        same_names: Every two datasets with equal file names.
        leaks: Leaked test images by test set, where a split was audited.
        split: Its name and seed.
        unreadable: One line per file that could not be read and was skipped.
        partial: Datasets of which only a part is on disk. missing: Datasets asked for and absent.
    """

    items: Mapping[str, tuple[Item, ...]]
    exact: tuple[tuple[Item, ...], ...]
    near: tuple[NearPair, ...]
    conflicts: tuple[Conflict, ...]
    containment: tuple[Containment, ...]
    same_names: tuple[SameNames, ...] = ()
    leaks: Mapping[str, list[Leak]] = field(default_factory=dict)
    split: str = ""
    unreadable: tuple[str, ...] = ()
    partial: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, Item]:
        """Every image by ``<dataset>/<id>``."""
        return {f"{item.dataset}/{item.id}": item for items in self.items.values() for item in items}


def audit_items(
    sets: Mapping[str, Sequence[Item]], *, cache_dir: Path | None = None, progress: Say = lambda *_: None
) -> Audit:
    """Audit images by dataset.

    Args:
        sets: The images of each dataset.
        cache_dir: Where signatures are kept between runs; None for the user's cache folder.
        progress: Called with the phase, the images done and in all.
    """
    wanted = [item for items in sets.values() for item in items]
    readable, faults = _readable(wanted)
    twins = find_twins(readable, cache_dir=cache_dir, progress=lambda done, of: progress("read images", done, of))
    return Audit(
        {name: tuple(items) for name, items in sets.items()},
        twins.exact,
        twins.near,
        tuple(conflict for cluster in twins.exact if (conflict := compare_masks(cluster)) is not None),
        _containment(sets, twins),
        same_names=tuple(find_same_names(sets)),
        unreadable=tuple(faults),
    )


def audit_split(split: Split, *, cache_dir: Path | None = None, progress: Say = lambda *_: None) -> Audit:
    """Audit the images of a split, and report its leaked test images."""
    everything = {item: None for part in (split.train, split.val, *split.tests.values()) for item in part}
    sets: dict[str, list[Item]] = defaultdict(list)
    for item in everything:
        sets[item.dataset].append(item)
    found = audit_items(sets, cache_dir=cache_dir, progress=progress)
    return replace(
        found,
        leaks=leaks_of(split, Twins(found.exact, found.near)),
        split=f"{split.name} (seed {split.seed})",
        partial=split.partial,
        missing=split.missing,
    )


def _readable(items: Sequence[Item]) -> tuple[list[Item], list[str]]:
    """Drop images whose file cannot be decoded; the audit of the others continues."""
    from benchmark.data.files.decode import describe

    good, faults = [], []
    for item in items:
        try:
            describe(item.image_path)
        except BenchError as error:
            faults.append(str(error))
        else:
            good.append(item)
    return good, faults


def compare_masks(items: tuple[Item, ...]) -> Conflict | None:
    """Return what differs between the masks of images with equal pixels; None if all agree."""
    masks: dict[int, np.ndarray] = {}
    faults = []
    for position, item in enumerate(items):
        try:
            masks[position] = read_mask(item)
        except BenchError as error:
            faults.append(str(error))
    dice = {}
    for a, b in combinations(masks, 2):
        if not np.array_equal(masks[a], masks[b]):
            dice[a, b] = round(_dice(masks[a], masks[b]), 4)
    return Conflict(items, dice, tuple(faults)) if dice or faults else None


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    if first.shape != second.shape:
        return 0.0
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def find_same_names(sets: Mapping[str, Sequence[Item]]) -> Iterator[SameNames]:
    """Yield every two datasets that hold different files of equal name (without suffix), with the names in order."""
    stems = {
        name: {item.image_path.stem: item.image_path for item in items if not item.image_path.stem.isdecimal()}
        for name, items in sets.items()
    }
    for first, second in combinations(stems, 2):
        both = [stem for stem, path in stems[first].items() if stems[second].get(stem, path) != path]
        if both:
            yield SameNames(first, second, tuple(sorted(both, key=natural_key)))


def _containment(sets: Mapping[str, Sequence[Item]], twins: Twins) -> tuple[Containment, ...]:
    """Count for every ordered pair of datasets the images of the one that are also in the other."""
    equal: dict[tuple[str, str], set[Item]] = defaultdict(set)
    alike: dict[tuple[str, str], set[Item]] = defaultdict(set)
    for item, cluster in twins.cluster_of.items():
        for other in cluster:
            equal[item.dataset, other.dataset].add(item)
    for mine, theirs in twins.near_clusters():
        for a, b in product(mine, theirs):
            alike[a.dataset, b.dataset].add(a)
    found = []
    for inner in sets:
        for outer in sets:
            same = equal[inner, outer]
            either = same | alike[inner, outer]
            if inner != outer and either:
                found.append(Containment(inner, outer, len(same), len(either), len(sets[inner])))
    return tuple(found)
