"""Which images are one picture: by equal pixels, or by looking alike and standing the proof."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.data.listing.items import Item
from benchmark.data.twins.candidates import FLIPS, Window, find_candidates
from benchmark.data.twins.signatures import Progress, read_signatures, with_channels
from benchmark.data.twins.verify import THRESHOLD, verify

Cluster = tuple[Item, ...]

_MIRRORED = dict(zip(FLIPS, ("", "left to right", "top to bottom", "both ways"), strict=True))


class NearPair(NamedTuple):
    """Two different images that show one picture.

    Attributes:
        first, second: The images; where several have equal pixels, the first of them.
        correlation: Of their aligned detail, ``THRESHOLD`` to 1.
        mirrored: "" or how the second is mirrored.
        window: The part of the first that the second shows: top, bottom, left, right, in [0, 1].
    """

    first: Item
    second: Item
    correlation: float
    mirrored: str
    window: Window

    @property
    def same_group(self) -> bool:
        """Whether both are known to show one scene: neighbouring frames of a sequence."""
        return self.first.group == self.second.group


@dataclass(frozen=True)
class Twins:
    """Images that are there twice.

    Attributes:
        exact: Clusters of two or more images with equal decoded pixels.
        near: Verified look-alikes, one pair per two clusters.
    """

    exact: tuple[Cluster, ...]
    near: tuple[NearPair, ...]

    @cached_property
    def cluster_of(self) -> dict[Item, Cluster]:
        """The cluster of every image that has one."""
        return {item: cluster for cluster in self.exact for item in cluster}

    def near_clusters(self) -> Iterator[tuple[Cluster, Cluster]]:
        """Yield both orders of every near pair, each image with those of equal pixels, the best pair first."""
        for pair in sorted(self.near, key=lambda one: -one.correlation):
            first, second = (self.cluster_of.get(item, (item,)) for item in (pair.first, pair.second))
            yield first, second
            yield second, first


def find_twins(items: Sequence[Item], *, cache_dir: Path | None = None, progress: Progress = lambda *_: None) -> Twins:
    """Group images with equal pixels, and verify look-alikes among one image of each group.

    Args:
        items: Images, each once.
        cache_dir: Where signatures are kept between runs; None for the user's cache folder.
        progress: Called with files decoded and in all.
    Raises:
        BenchError: If an image cannot be read.
    """
    signatures = read_signatures([item.image_path for item in items], cache_dir=cache_dir, progress=progress)
    signatures = with_channels(signatures, items)
    clusters: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(signatures.pixels):
        clusters[name].append(position)
    first = [members[0] for members in clusters.values()]
    thumbs = signatures.thumbs[np.array(first, np.int64)]
    near = []
    for candidate in find_candidates(thumbs):
        match = verify(thumbs, candidate)
        if match.correlation >= THRESHOLD:
            pair = items[first[candidate.first]], items[first[candidate.second]]
            near.append(NearPair(*pair, round(match.correlation, 4), _MIRRORED[candidate.flip], _rounded(match.window)))
    exact = tuple(tuple(items[i] for i in members) for members in clusters.values() if len(members) > 1)
    return Twins(exact, tuple(near))


def _rounded(window: Window) -> Window:
    top, bottom, left, right = (round(edge, 3) for edge in window)
    return top, bottom, left, right


def merge_groups(items: Sequence[Item], *, cache_dir: Path | None = None) -> dict[Item, Item]:
    """Return the images whose group must change so that no two groups hold one picture, each with its new item.

    Groups that share a picture become one, under the name that comes first in the alphabet.
    """
    twins = find_twins(items, cache_dir=cache_dir)
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while group in parent:
            group = parent[group]
        return group

    pairs = [(cluster[0], other) for cluster in twins.exact for other in cluster[1:]]
    for first, second in (*pairs, *((pair.first, pair.second) for pair in twins.near)):
        low, high = sorted((root(first.group), root(second.group)))
        if low != high:
            parent[high] = low
    return {item: replace(item, group=root(item.group)) for item in items if item.group in parent}
