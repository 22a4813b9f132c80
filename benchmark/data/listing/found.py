"""The known datasets that are on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.listing.datasets import DATASETS, list_dataset, resolve_root
from benchmark.data.listing.items import DatasetMissing
from benchmark.errors import BenchError


@dataclass(frozen=True)
class DatasetRow:
    """One line of ``bench data list``.

    Attributes:
        name: Dataset name.
        title: As printed in tables.
        found: True where images are on disk (phantoms are always available).
        num_images: Images found.
        expected: Images in the original distribution.
        where: Folder of the first image.
        note: What is wrong, or where to get it.
        licence: Terms in one line.
    """

    name: str
    title: str
    found: bool
    num_images: int
    expected: int
    where: str
    note: str
    licence: str


def list_datasets(root: Path | str | None = None) -> list[DatasetRow]:
    """Return every known dataset with its images on disk; none without a data root.

    Raises:
        BenchError: If a data root is given and is not a folder.
    """
    if root is not None or os.environ.get("BENCH_DATA_ROOT"):
        root = resolve_root(root)
    return [_row(name, root) for name in DATASETS]


def _row(name: str, root: Path | str | None) -> DatasetRow:
    info = DATASETS[name]
    if info.synthetic:
        text = "drawn on first use; synthetic"
        return DatasetRow(name, info.title, True, info.expected, info.expected, "", text, info.licence)
    absent = DatasetRow(name, info.title, False, 0, info.expected, "", f"get it from {info.source}", info.licence)
    if root is None:
        return absent
    try:
        items = list_dataset(name, root)
    except DatasetMissing:
        return absent
    except BenchError as error:
        return DatasetRow(name, info.title, False, 0, info.expected, "", str(error), info.licence)
    note = "" if info.expected in (0, len(items)) else f"incomplete: {len(items)} of {info.expected}"
    where = str(items[0].image_path.parent)
    return DatasetRow(name, info.title, True, len(items), info.expected, where, note, info.licence)


def found_datasets(root: Path | None = None) -> list[str]:
    """Return the names of the known datasets that are on disk.

    Raises:
        BenchError: None is.
    """
    found = [row.name for row in list_datasets(root) if row.found]
    if not found:
        raise BenchError(f"no dataset found below {root}; 'bench data list' shows where to get each")
    return found
