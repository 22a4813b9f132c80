"""`bench data fetch`: show the terms, bring the data, say what is there now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmark.commands.printing import print_json, say
from benchmark.data.fetching.fetch import Fetched
from benchmark.errors import BenchError

EXIT_BY_HAND = 1
EXIT_CTRL_C = 130


def data_fetch(
    names: Sequence[str],
    root: Path | None,
    *,
    mirror: str | None,
    lock: Path | None,
    keep_archives: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Fetch sources one after the other; returns 1 where a step is left to the user, 130 after Ctrl-C."""
    from benchmark.data.fetching.fetch import fetch
    from benchmark.data.fetching.sources import expand_sources, load_sources

    sources = load_sources(mirror)
    wanted = expand_sources(names, sources)
    if not wanted:
        raise BenchError(f"name what to fetch: {', '.join(sources)}; or pranet, polyp, skin")
    place = _root(root)
    console = Console(stderr=True)
    results = []
    for name in wanted:
        source = sources[name]
        if source.files and not quiet:
            say(console, f"{name}: {source.title}. Terms: {source.terms} ({source.page})")
        try:
            with _bars(console, quiet) as progress:
                result = fetch(name, source, place, lock=lock, keep_archives=keep_archives, progress=progress)
        except KeyboardInterrupt:
            say(console, "stopped by the user: what came is kept; the same command goes on from there")
            return EXIT_CTRL_C
        results.append(result)
        if not as_json:
            _print(result, source.title, place)
    if as_json:
        print_json([asdict(result) for result in results])
    return EXIT_BY_HAND if any(result.status == "manual" for result in results) else 0


def _root(root: Path | None) -> Path:
    given = root or os.environ.get("BENCH_DATA_ROOT")
    if not given:
        raise BenchError("no data root: pass --data-root DIR or set BENCH_DATA_ROOT; the datasets are put there")
    path = Path(given).expanduser()
    if path.exists() and not path.is_dir():
        raise BenchError(f"data root {path} is not a folder: pass --data-root DIR")
    return path


def _print(result: Fetched, title: str, root: Path) -> None:
    counts = ", ".join(result.counts)
    if result.status == "fetched":
        print(f"{result.name}: fetched to {', '.join(result.folders)}; images found: {counts}")
        print(f"  next: bench data check {result.counts[0].split()[0]} --data-root {root}")
    elif result.status == "present":
        print(f"{result.name}: already there, left as it is; images found: {counts}")
    else:
        print(f"{result.name}: {title} cannot be fetched by a program. By hand:")
        for number, step in enumerate(result.steps, 1):
            print(f"  {number}. {step}")
        print(f"  Terms: {result.terms}")
        print(f"  then: bench data check {result.name} --data-root {root}")


@contextmanager
def _bars(console: Console, quiet: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """One bar per archive and activity on a terminal, nothing elsewhere."""
    if quiet or not console.is_terminal:
        yield lambda *_: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    text = TextColumn("{task.description}", markup=False)
    with Progress(
        text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=console
    ) as bars:
        tasks: dict[str, int] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield show
