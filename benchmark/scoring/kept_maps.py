"""Measures on request from the maps that cells keep: nothing is trained or scored again, no record is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.hashing import fingerprint
from benchmark.data.files.maps import read_map
from benchmark.data.files.parallel import ahead
from benchmark.data.files.read_item import read_mask_grey
from benchmark.data.listing.datasets import list_dataset
from benchmark.errors import BenchError
from benchmark.metrics import mask_facts, quantise
from benchmark.metrics.families import Family
from benchmark.report.records.family_values import read_values, scored_digest, write_values
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.data.listing.items import Item
    from benchmark.store.schema import Record


class NotHere(Exception):  # noqa: N818 (reads as what it says)
    """Maps or masks of a test set are not on disk."""


def kept_items(record: Record, name: str, paths: CellPaths, root: Path | None, cache_dir: Path | None) -> list[Item]:
    """Return the images of a test set whose maps a cell keeps.

    Raises:
        NotHere: No maps, or no images.
        BenchError: The images or maps at hand are others than those that were scored.
    """
    if not paths.maps(name).is_dir():
        raise NotHere("has no stored maps")
    try:
        every = list_dataset(name, root, cache_dir=cache_dir)
    except BenchError as error:
        raise NotHere(str(error)) from None
    items = [item for item in every if paths.map(name, item.id).is_file()]
    if len(items) != record.tests[name].n or fingerprint(items) != record.tests[name].fingerprint:
        raise BenchError(
            f"{record.cell} {name}: the images or maps on disk are not those that were scored; restore them, or run "
            "the cell again with --if-exists overwrite"
        )
    return items


def measure_kept(
    family: Family,
    results: Path,
    *,
    models: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> dict[tuple[str, str], str]:
    """Measure the kept maps of all finished cells that were not measured yet; the values lie beside their scores.

    Args:
        family: What to measure.
        results: Results folder.
        models: Only these models, by registry name.
        datasets: Only these test sets.
        data_root: Where the masks are.
        cache_dir: For phantom.
        progress: Told the cell and set in hand, images done and in all.
    Returns:
        Why a cell's test set has no values, by cell and test set.
    """
    layout, left = ResultsLayout(results), dict[tuple[str, str], str]()
    for record in io.read_records(results):
        if record.status != "ok" or (models is not None and record.model not in models):
            continue
        paths, parts = layout.cell(record.cell), []
        for name in record.tests:
            wanted = datasets is None or name in datasets
            if not wanted or read_values(paths, record, name, family) is not None:
                continue
            try:
                items = kept_items(record, name, paths, data_root, cache_dir)
            except (NotHere, BenchError) as reason:
                left[record.cell, name] = str(reason).removeprefix(f"{record.cell} {name}: ")
                continue
            told = _told(progress, f"{family.name} {record.cell} {name}", len(items))
            parts.append(measure_set(family, items, lambda item, p=paths: read_map(p.map(item.dataset, item.id)), told))  # type: ignore[misc]
            parts[-1] = parts[-1].assign(dataset=name, scored=scored_digest(record, name))
        if parts:
            write_values(paths, family, parts)
    return left


def _told(progress: Callable[[str, int, int], None], what: str, total: int) -> Callable[[int], None]:
    return lambda done: progress(what, done, total)


def measure_set(
    family: Family,
    items: Iterable[Item],
    read: Callable[[Item], NDArray],
    done: Callable[[int], None] = lambda _: None,
    *,
    read_mask: Callable[[Item], NDArray[np.uint8]] = read_mask_grey,
) -> pd.DataFrame:
    """Measure maps one by one, on all cores.

    Args:
        family: What to measure.
        items: The images.
        read: Reads an item's map: (H, W), uint8 or float in [0, 1].
        done: Told how many images are done.
        read_mask: Reads an item's mask as (H, W) grey.
    Returns:
        One line per image: id, group, facts of its mask, the family's values.
    """
    import pandas as pd

    measure = family.of_image
    assert measure is not None, "a family whose values scores.parquet holds is not measured"

    def one(item: Item) -> dict[str, Any]:
        mask = read_mask(item) > family.mask_threshold
        values = measure(quantise(read(item)), mask)
        return {"id": item.id, "group": item.group, **mask_facts(mask), **values}

    rows = []
    for number, row in enumerate(ahead(one, items), start=1):
        rows.append(row)
        done(number)
    return pd.DataFrame(rows)


def write_measured(paths: CellPaths, family: Family, record: Record, found: dict[str, pd.DataFrame]) -> None:
    """Keep the values of maps that others made beside their record."""
    parts = [rows.assign(dataset=name, scored=scored_digest(record, name)) for name, rows in found.items()]
    write_values(paths, family, parts)
