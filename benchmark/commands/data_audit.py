"""`bench audit data`: look, print, write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmark.commands.printing import say
from benchmark.data.listing.items import DatasetMissing
from benchmark.errors import BenchError
from benchmark.store import io

if TYPE_CHECKING:
    from benchmark.data.audit.search import Audit
    from benchmark.data.listing.items import Item


def audit_data(
    names: Sequence[str],
    root: Path | None,
    *,
    split: str | None,
    split_seed: int,
    cache_dir: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    quiet: bool,
) -> None:
    """Audit datasets or a split, print what was found, write it where that was asked for."""
    from benchmark.data.audit.text import to_json, to_text

    found = _audit(names, root, split, split_seed, cache_dir, quiet)
    if json_file is not None:
        io.write_json(json_file, to_json(found))
    if html_file is not None:
        from benchmark.data.audit.page import to_html

        io.write_text(html_file, to_html(found))
    print(to_text(found))


def _audit(
    names: Sequence[str], root: Path | None, split: str | None, seed: int, cache_dir: Path | None, quiet: bool
) -> Audit:
    from dataclasses import replace

    from benchmark.data.audit.search import audit_items, audit_split
    from benchmark.data.listing.datasets import dataset_info
    from benchmark.data.splits.choose import make_split

    console = Console(stderr=True)

    def progress(what: str, done: int, total: int) -> None:
        if not quiet and (done == total or done % 256 == 0):
            say(console, f"{what}: {done} of {total}")

    if split is not None:
        wanted = list(names) or ["skin" if split == "paper-skin" else "polyp"]
        made = make_split(split, wanted, root=root, seed=seed, allow_missing=True, cache_dir=cache_dir)
        return audit_split(made, cache_dir=cache_dir, progress=progress)
    sets, faults = _sets(names, root, cache_dir)
    expected = {name: dataset_info(name).expected for name in sets}
    partial = {n: f"{len(sets[n])} of {full} images" for n, full in expected.items() if full and full != len(sets[n])}
    found = audit_items(sets, cache_dir=cache_dir, progress=progress)
    return replace(found, partial=partial, unreadable=(*faults, *found.unreadable))


def _sets(
    names: Sequence[str], root: Path | None, cache_dir: Path | None
) -> tuple[dict[str, Sequence[Item]], list[str]]:
    """List the datasets asked for, or every real one that is there (endoscene's parts, not endoscene itself).

    A dataset of several that cannot be listed is left out, with the reason in the second list.
    """
    from benchmark.data.audit.check import list_datasets
    from benchmark.data.listing.datasets import dataset_info, expand_datasets, list_dataset

    if names:
        wanted = expand_datasets(names, root)
    else:
        found = [row.name for row in list_datasets(root) if row.found and not dataset_info(row.name).synthetic]
        wanted = [name for name in found if name != "endoscene" or not {"clinicdb", "cvc300"} <= set(found)]
    if not wanted:
        raise BenchError(f"no dataset found below {root}; 'bench data list' says where to get each")
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
