"""`bench data fetch`: show the terms, download, report what is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import data_app
from benchmark.cli.options import DataRoot, Json
from benchmark.cli.printing import Flags, print_json, say, stderr, tell
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.data.fetching.fetch import Fetched

EXIT_BY_HAND = 1
EXIT_CTRL_C = 130


@data_app.command("fetch")
def data_fetch(
    datasets: Annotated[
        list[str],
        typer.Argument(
            help="Datasets, pranet (both bundles), or the groups polyp, skin.", autocompletion=complete.datasets
        ),
    ],
    data_root: DataRoot = None,
    mirror: Annotated[
        str | None,
        typer.Option(help="FILE.toml with addresses, or a folder or URL with the archives.", envvar="BENCH_MIRROR"),
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(help="Checksums of first downloads; DATA_ROOT/bench-data.lock.json if unset.")
    ] = None,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep the archives after unpacking.")] = False,
    as_json: Json = False,
) -> None:
    """Download, verify and unpack datasets into the data root, or explain step by step how to get them manually.

    The same command resumes an interrupted download. Existing files are never overwritten.
    Exit code 1 if a dataset must be downloaded manually.

    Example: bench data fetch kvasir pranet --data-root ~/datasets
    """
    from benchmark.data.fetching.fetch import download_root, fetch
    from benchmark.data.fetching.sources import expand_sources, load_sources

    sources = load_sources(mirror)
    wanted = expand_sources(datasets, sources)
    if not wanted:
        raise BenchError(f"name what to fetch: {', '.join(sources)}; or pranet, polyp, skin")
    place = download_root(data_root)
    results = []
    for name in wanted:
        source = sources[name]
        if source.files:
            say(f"{name}: {source.title}. Terms: {source.terms} ({source.page})")
        try:
            with _bars() as progress:
                result = fetch(name, source, place, lock=lock, keep_archives=keep_archives, progress=progress)
        except KeyboardInterrupt:
            tell("stopped by the user: partial downloads are kept; run the same command again to continue")
            raise typer.Exit(EXIT_CTRL_C) from None
        results.append(result)
        if not as_json:
            _print(result, source.title, place)
    if as_json:
        print_json([asdict(result) for result in results])
    raise typer.Exit(EXIT_BY_HAND if any(result.status == "manual" for result in results) else 0)


def _print(result: Fetched, title: str, root: Path) -> None:
    counts = ", ".join(result.counts)
    if result.status == "fetched":
        print(f"{result.name}: fetched to {', '.join(result.folders)}; images found: {counts}")
        print(f"  next: bench data check {result.counts[0].split()[0]} --data-root {root}")
    elif result.status == "present":
        print(f"{result.name}: already on disk, left unchanged; images found: {counts}")
    else:
        print(f"{result.name}: {title} cannot be downloaded automatically. Manually:")
        for number, step in enumerate(result.steps, 1):
            print(f"  {number}. {step}")
        print(f"  Terms: {result.terms}")
        print(f"  then: bench data check {result.name} --data-root {root}")


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show one bar per archive and activity on a terminal, nothing elsewhere."""
    console = stderr()
    if Flags.quiet or not console.is_terminal:
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
