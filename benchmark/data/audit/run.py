"""Audit datasets or a split by name: list the images, find duplicates and leaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.data.audit.search import Audit, Say, audit_items, audit_split
from benchmark.data.listing.datasets import dataset_info, expand_datasets, list_dataset
from benchmark.data.listing.found import found_datasets
from benchmark.data.listing.items import DatasetMissing, Item
from benchmark.data.splits.choose import obtain_split
from benchmark.errors import BenchError


def audit_datasets(
    names: Sequence[str],
    root: Path | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Say = lambda *_: None,
) -> Audit:
    """Find duplicate images.

    Args:
        names: Datasets or groups; every real dataset on disk if empty.
        root: Data root; None takes BENCH_DATA_ROOT.
        cache_dir: Where signatures are kept between runs; None for the user's cache folder.
        progress: Called with the phase, the images done and in all.
    Raises:
        BenchError: An unknown or absent dataset, or none at all. One of several that is faulty is skipped and reported.
    """
    sets, faults = _sets(names, root, cache_dir)
    expected = {name: dataset_info(name).expected for name in sets}
    partial = {n: f"{len(sets[n])} of {full} images" for n, full in expected.items() if full and full != len(sets[n])}
    found = audit_items(sets, cache_dir=cache_dir, progress=progress)
    return replace(found, partial=partial, unreadable=(*faults, *found.unreadable))


def audit_named_split(
    name: str,
    datasets: Sequence[str],
    root: Path | None = None,
    *,
    seed: int = 0,
    cache_dir: Path | None = None,
    progress: Say = lambda *_: None,
) -> Audit:
    """Make a split by name (or read FILE.json) and report which of its test images training has seen."""
    wanted = list(datasets) or ["skin" if name == "paper-skin" else "polyp"]
    made = obtain_split(name, wanted, root=root, seed=seed, allow_missing=True, cache_dir=cache_dir)
    return audit_split(made, cache_dir=cache_dir, progress=progress)


def _sets(
    names: Sequence[str], root: Path | None, cache_dir: Path | None
) -> tuple[dict[str, Sequence[Item]], list[str]]:
    """List the requested datasets, or every real one on disk (endoscene's parts, not endoscene itself).

    One of several that cannot be listed is skipped, with the reason in the second list.
    """
    wanted = expand_datasets(names, root) if names else _real(found_datasets(root))
    sets: dict[str, Sequence[Item]] = {}
    faults = []
    for name in wanted:
        try:
            sets[name] = list_dataset(name, root, cache_dir=cache_dir)
        except DatasetMissing:
            raise
        except BenchError as error:
            if len(wanted) == 1:
                raise
            faults.append(str(error))
    return sets, faults


def _real(found: Sequence[str]) -> list[str]:
    real = [name for name in found if not dataset_info(name).synthetic]
    if not real:
        raise BenchError("no dataset found below the data root; 'bench data list' shows where to get each")
    return [name for name in real if name != "endoscene" or not {"clinicdb", "cvc300"} <= set(real)]
