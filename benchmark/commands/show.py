"""`bench data show`: a contact sheet and statistics of one dataset."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmark.commands.printing import print_json, say
from benchmark.errors import BenchError


def data_show(
    name: str,
    root: Path | None,
    *,
    out: Path | None,
    num: int,
    cache_dir: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Draw the sheet, print the statistics."""
    from benchmark.data.listing.datasets import expand_datasets, list_dataset
    from benchmark.display.progress import watch
    from benchmark.report.figures.contact_sheet import contact_sheet, save_sheet, spread, survey

    names = expand_datasets([name], root)
    if len(names) > 1:
        raise BenchError(f"{name} is a group: show one of {', '.join(names)}")
    dataset = names[0]
    file = out or Path(f"show-{dataset}.png")
    console = Console(stderr=True)
    items = list_dataset(dataset, root, cache_dir=cache_dir)
    shown = spread(items, num)
    if not quiet:
        say(console, f"reading {len(items)} masks")
    with watch(console, quiet=quiet or as_json) as watcher:
        found = survey(dataset, items, partial(watcher.phase, f"read {dataset}"))
    kind = "synthetic images" if found.synthetic else "real images, for research only: do not publish"
    save_sheet(contact_sheet(f"{found.title}: {len(shown)} of {len(items)} ({kind})", shown), file)
    if as_json:
        print_json({**asdict(found), "shown": [item.id for item in shown], "file": str(file)})
        return
    print(found.to_text())
    if not quiet:
        say(console, f"wrote {file} ({kind})")
