"""A split as a JSON file: ids and content hashes, no paths; it can be carried to another machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from benchmark.data.files.hashing import content_hash
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.listing.folders import shown
from benchmark.data.listing.items import DatasetMissing, Item
from benchmark.data.splits.partition import Items, Split
from benchmark.errors import BenchError
from benchmark.runtime.atomic import write_json
from benchmark.untrusted import read_json

SCHEMA = 1
SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]  # it becomes the name of a folder
Row = tuple[SetName, str, str]


class _Content(BaseModel):
    """What a split file holds, beside its schema; rows are dataset, id and content hash."""

    name: str
    seed: int
    train: list[Row]
    val: list[Row]
    tests: dict[SetName, list[Row]]
    missing: dict[str, str]
    partial: dict[str, str]


def save_split(split: Split, path: Path) -> None:
    """Write a split as JSON, whole or not at all.

    Raises:
        BenchError: If the file cannot be written.
    """
    payload = {
        "schema": SCHEMA,
        "name": split.name,
        "seed": split.seed,
        "train": _rows(split.train),
        "val": _rows(split.val),
        "tests": {name: _rows(items) for name, items in split.tests.items()},
        "missing": split.missing,
        "partial": split.partial,
    }
    write_json(path, payload)


def trained_contents(path: Path) -> frozenset[str]:
    """Return the content hashes of the images that train or validate under a split file; no image is read.

    Raises:
        BenchError: If the file cannot be read.
    """
    payload = parse_split(path)
    return frozenset(digest for _, _, digest in (*payload["train"], *payload["val"]))


def _rows(items: Iterable[Item]) -> list[list[str]]:
    return [[item.dataset, item.id, content_hash(item)] for item in items]


def load_split(
    path: Path, *, root: Path | None = None, allow_missing: bool = False, cache_dir: Path | None = None
) -> Split:
    """Read a split and find its images below ``root``.

    Args:
        path: A file by ``save_split``.
        root: Data root; None takes BENCH_DATA_ROOT.
        allow_missing: Leave out images that are not on disk, and note how many.
        cache_dir: Where phantom images are written.
    Raises:
        BenchError: If the file is no split, an image is absent (unless allowed), or its content is another.
    """
    payload = parse_split(path)
    missing: dict[str, str] = dict(payload["missing"])
    partial: dict[str, str] = dict(payload["partial"])
    lists = [payload["train"], payload["val"], *payload["tests"].values()]
    on_disk: dict[tuple[str, str], Item] = {}
    for name in dict.fromkeys(row[0] for rows in lists for row in rows):
        try:
            on_disk.update({(name, item.id): item for item in list_dataset(name, root, cache_dir=cache_dir)})
        except DatasetMissing as error:
            if not allow_missing:
                raise error.advised() from None
            missing[name] = error.reason
    if not allow_missing:
        _require_all(path, lists, on_disk)
    for name, rows in payload["tests"].items():
        _require_unique(path, name, rows)
    train, val, *tests = (_items(path, rows, on_disk) for rows in lists)
    _note_absent(lists, on_disk, missing, partial)
    named = {name: items for name, items in zip(payload["tests"], tests, strict=True) if items}
    return Split(payload["name"], payload["seed"], train, val, named, missing, partial)


def parse_split(path: Path) -> dict[str, Any]:
    """Read a split file unchecked: rows of dataset, id and content hash under ``train``, ``val`` and each test set.

    Raises:
        BenchError: It cannot be read, or is no split file.
    """
    try:
        payload = read_json(path)
        if payload["schema"] != SCHEMA:
            raise BenchError(f"split file {path} has schema {payload['schema']}, expected {SCHEMA}: export it again")
        return _Content.model_validate(payload).model_dump()
    except OSError as error:
        raise BenchError(f"cannot read split file {path}: {error.strerror}; check the path") from error
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    except (ValueError, KeyError, TypeError) as error:
        fault = str(error)
    raise BenchError(f"{path} is no split file ({fault}): expected JSON as written by save_split")


def _require_unique(path: Path, name: str, rows: list[Row]) -> None:
    """Refuse a test set in which two images have one id: their maps and rows are filed by it."""
    seen: dict[str, str] = {}
    for dataset, one, _ in rows:
        if one in seen:
            raise BenchError(
                f"split file {path}: test set {name} holds {seen[one]}/{one} and {dataset}/{one}; ids in a test "
                "set must differ: give each dataset its own test set"
            )
        seen[one] = dataset


def _require_all(path: Path, lists: list[list[Row]], on_disk: dict[tuple[str, str], Item]) -> None:
    absent = [f"{row[0]}/{row[1]}" for rows in lists for row in rows if (row[0], row[1]) not in on_disk]
    if absent:
        raise BenchError(
            f"split file {path} names images that are not on disk: {shown(absent)}; or pass --allow-missing"
        )


def _items(path: Path, rows: list[Row], on_disk: dict[tuple[str, str], Item]) -> Items:
    items = []
    for dataset, name, content in rows:
        item = on_disk.get((dataset, name))
        if item is None:
            continue
        if content_hash(item) != content:
            raise BenchError(
                f"{item.image_path} or its mask differs in content from split file {path}: another copy of the "
                "dataset; use the copy that the split was made on"
            )
        items.append(item)
    return tuple(items)


def _note_absent(
    lists: list[list[Row]],
    on_disk: dict[tuple[str, str], Item],
    missing: dict[str, str],
    partial: dict[str, str],
) -> None:
    """Say of each dataset how many of the split's images are on disk."""
    wanted: dict[str, list[bool]] = {}
    for rows in lists:
        for dataset, name, _ in rows:
            wanted.setdefault(dataset, []).append((dataset, name) in on_disk)
    for dataset, there in wanted.items():
        if not all(there) and dataset not in missing:
            partial[dataset] = f"{sum(there)} of the {len(there)} images in the split file"
