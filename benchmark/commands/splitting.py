"""`bench data split`: draw or read a split, say what is in it, export it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.commands.printing import print_json, print_rows, say

if TYPE_CHECKING:
    from benchmark.data.splits.partition import Split


def data_split(
    name: str,
    datasets: Sequence[str],
    *,
    seed: int,
    root: Path | None,
    cache_dir: Path | None,
    export: Path | None,
    allow_missing: bool,
    as_json: bool,
) -> None:
    """Print how many images of each dataset train, validate and test."""
    from benchmark.data.splits.choose import obtain_split, save_split

    split = obtain_split(name, datasets, root=root, seed=seed, allow_missing=allow_missing, cache_dir=cache_dir)
    if export is not None:
        save_split(split, export)
    rows = _rows(split)
    if as_json:
        facts: dict[str, Any] = {"split": split.name, "seed": split.seed, "datasets": rows}
        print_json({**facts, "missing": split.missing, "partial": split.partial})
        return
    print_rows(rows)
    console = Console(stderr=True)
    for what, notes in (("missing", split.missing), ("partial", split.partial)):
        for dataset, note in notes.items():
            say(console, f"{what}    {dataset}: {note}")
    if export is not None:
        say(console, f"split {split.name} (seed {split.seed}) is in {export}: bench run --split {export}")


def _rows(split: Split) -> list[dict[str, Any]]:
    sides = {"train": split.train, "val": split.val}
    counts = {side: Counter(item.dataset for item in items) for side, items in sides.items()}
    counts["test"] = Counter({name: len(items) for name, items in split.tests.items()})
    groups: dict[str, set[str]] = {}
    for item in (*split.train, *split.val, *(item for items in split.tests.values() for item in items)):
        groups.setdefault(item.dataset, set()).add(item.group)
    return [
        {"dataset": name, **{side: counts[side][name] for side in ("train", "val", "test")}, "groups": len(of)}
        for name, of in groups.items()
    ]
