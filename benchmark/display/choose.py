"""Choose a display: notices alone when ``quiet``, live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmark.display.many_cells import LiveCells, PlainCells, QuietCells
from benchmark.display.progress import LiveDisplay, PlainDisplay, QuietDisplay

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.study.events import Events, ManyEvents


@contextmanager
def watch(console: Console, *, quiet: bool = False) -> Iterator[Events]:
    """Show one cell after the other."""
    if quiet or not console.is_terminal:
        yield QuietDisplay(console) if quiet else PlainDisplay(console)
        return
    live = LiveDisplay(console)
    with live.progress:
        yield live


@contextmanager
def watch_many(console: Console, *, quiet: bool = False) -> Iterator[ManyEvents]:
    """Show several cells at once."""
    if quiet or not console.is_terminal:
        yield QuietCells(console) if quiet else PlainCells(console)
        return
    live = LiveCells(console)
    with live.progress:
        yield live


@contextmanager
def watch_run(console: Console, *, many: bool, quiet: bool = False) -> Iterator[Events | ManyEvents]:
    """Show a run: several cells at once, or one after the other."""
    with watch_many(console, quiet=quiet) if many else watch(console, quiet=quiet) as shown:
        yield shown
