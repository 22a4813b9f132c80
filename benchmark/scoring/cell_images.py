"""The very images that a cell was scored on, found again on disk."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.files.hashing import fingerprint
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import CellPaths
from benchmark.store.schema import Record


def scored_items(
    record: Record, name: str, paths: CellPaths, *, data_root: Path | None, cache_dir: Path | None
) -> tuple[Item, ...]:
    """Return the images of test set ``name`` that a cell was scored on, in the order of ids.

    Raises:
        BenchError: Some are gone, or others than they were.
    """
    ids = set(map(str, io.read_scores(paths.scores, ["dataset", "id"]).query("dataset == @name")["id"]))
    try:
        every = list_dataset(name, data_root, cache_dir=cache_dir)
    except BenchError as error:
        raise BenchError(f"{record.cell}: its images of {name} are gone: {error}") from None
    items = tuple(sorted((item for item in every if item.id in ids), key=lambda item: item.id))
    if len(items) != len(ids):
        gone = sorted(ids - {item.id for item in items})
        raise BenchError(f"{record.cell} {name}: {len(gone)} of its images are gone ({gone[0]}, ...); restore them")
    if fingerprint(items) != record.tests[name].fingerprint:
        raise BenchError(
            f"{record.cell} {name}: the images on disk are not those that it was scored on; restore them, or run the "
            "cell again with --if-exists overwrite"
        )
    return items
