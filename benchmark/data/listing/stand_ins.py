"""Datasets that are counted and not read: as many items as the published set has images, for planning without data."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.data.listing.datasets import ENDOSCENE_PARTS, dataset_info, list_dataset
from benchmark.data.listing.folders import Pair
from benchmark.data.listing.groups import assign_groups
from benchmark.data.listing.items import STAND_IN, DatasetMissing, Item
from benchmark.data.listing.published import PRANET_LISTS, published_ids

PARTS = {
    "isic2016": {"train": 900, "test": 379},
    "isic2018": {"train": 2594, "validation": 100, "test": 1000},
}
"""Parts in which the challenges publish their images. Which images two challenges share is not known from counts."""

MEAN_PIXELS = {
    "kvasir": 352_051,
    "clinicdb": 110_592,
    "colondb": 287_000,
    "cvc300": 287_000,
    "endoscene": 126_343,
    "etis": 1_183_350,
    "ph2": 438_996,
    "": 300_000,
}
"""Mean pixels of an image, measured on the sets' files (ETIS: 1225 x 966 throughout); "" for sets not measured."""

_FIRST = {"cvc300": 149}
"""First frame number of sets that do not start at 1."""


def list_or_count(name: str, root: Path | None, *, cache_dir: Path | None = None) -> list[Item]:
    """List a dataset from disk; where it, or any data root, is absent, stand-ins of its published size.

    Raises:
        BenchError: The dataset is faulty, or absent and of unknown size.
    """
    info = dataset_info(name)
    no_root = root is None and not os.environ.get("BENCH_DATA_ROOT")
    if no_root and info.expected and not info.synthetic:
        return stand_ins(name)
    try:
        return list_dataset(name, root, cache_dir=cache_dir)
    except DatasetMissing:
        if not info.expected:
            raise
        return stand_ins(name)


def stand_ins(name: str) -> list[Item]:
    """Return one item per image of the published set; ids and groups are the real ones where they are known.

    CVC frames are numbered, so their sequences are known; Kvasir's ids are those of PraNet's lists.
    """
    if name == "endoscene":
        members = [(part, item) for part in ENDOSCENE_PARTS for item in stand_ins(part)]
        return [_item(name, f"{part}-{item.id}", item.group) for part, item in members]
    if name in PARTS:
        parts = [(part, f"{part}-{k}") for part, count in PARTS[name].items() for k in range(1, count + 1)]
        return [_item(name, f"{name}-{one}", f"isic-{name}-{one}", part) for part, one in parts]
    ids = [one for (dataset, part) in PRANET_LISTS if dataset == name for one in published_ids(dataset, part)]
    expected = dataset_info(name).expected
    if len(ids) != expected:
        first = _FIRST.get(name, 1)
        ids = [str(k) for k in range(first, first + expected)]
    groups = assign_groups(name, [Pair(one, STAND_IN, STAND_IN) for one in ids])
    return [_item(name, one, groups[one]) for one in ids]


def _item(dataset: str, name: str, group: str, part: str = "") -> Item:
    return Item(dataset, name, STAND_IN, STAND_IN, group, part)
