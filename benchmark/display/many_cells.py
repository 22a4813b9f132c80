"""What a run in many hands shows: every cell's own lines under its name, or a bar for each cell in hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from benchmark.display.progress import LiveWatcher, PlainWatcher, QuietWatcher

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.store.schema import Record
    from benchmark.study.events import Watcher
    from benchmark.study.plan import Cell


class Crowd(Protocol):
    """The displays of many cells at once."""

    def message(self, text: str) -> None: ...
    def whole(self) -> Watcher: ...
    def of(self, cell: Cell) -> Watcher: ...
    def place(self, cell_id: str, host: str) -> None: ...
    def gone(self, cell_id: str) -> None: ...


@contextmanager
def watch_many(console: Console, *, quiet: bool = False) -> Iterator[Crowd]:
    """Choose the display as ``progress.watch`` does."""
    if quiet:
        yield QuietCrowd(console)
    elif console.is_terminal:
        live = LiveCrowd(console)
        with live.progress:
            yield live
    else:
        yield PlainCrowd(console)


class QuietCrowd:
    """Messages only."""

    def __init__(self, console: Console) -> None:
        self._told = QuietWatcher(console)
        self.console = console

    def message(self, text: str) -> None:
        """Print a message as it is."""
        self._told.message(text)

    def whole(self) -> Watcher:
        """The display of what concerns no single cell; ``gone("")`` ends it."""
        return self._told

    def of(self, cell: Cell) -> Watcher:
        """The display of one cell."""
        return self._told

    def place(self, cell_id: str, host: str) -> None:
        """Ignore where a cell runs."""

    def gone(self, cell_id: str) -> None:
        """Ignore that a cell is in nobody's hands any more."""


class PlainCrowd(QuietCrowd):
    """Lines, each with the name of its cell."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._hosts: dict[str, str] = {}

    def whole(self) -> Watcher:
        """The display of what concerns no single cell."""
        return PlainWatcher(self.console)

    def of(self, cell: Cell) -> Watcher:
        """The display of one cell."""
        return _NamedLines(self.console, cell.id, self._hosts)

    def place(self, cell_id: str, host: str) -> None:
        """Remember where a cell runs, for the line that names it."""
        self._hosts[cell_id] = host


class _NamedLines(PlainWatcher):
    def __init__(self, console: Console, cell_id: str, hosts: dict[str, str]) -> None:
        super().__init__(console)
        self._cell, self._hosts = cell_id, hosts

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        super().cell_started(cell, number, total)
        if self._cell in self._hosts:
            super().message(f"  {self._cell}  runs on {self._hosts[self._cell]}")

    def message(self, text: str) -> None:
        super().message(text if self._cell in text else f"  {self._cell}  {text.strip()}")


class LiveCrowd(QuietCrowd):
    """One bar for all cells, and one for each that is in hand."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        first = LiveWatcher(console)
        self.progress = first.progress
        self._cells = self.progress.add_task("cells", total=None)
        self._shown: dict[str, _Bar] = {}

    def whole(self) -> Watcher:
        """The display of what concerns no single cell."""
        return self._bar("")

    def of(self, cell: Cell) -> Watcher:
        """The display of one cell."""
        return self._bar(cell.id)

    def gone(self, cell_id: str) -> None:
        """Take a cell's bar away."""
        bar = self._shown.pop(cell_id, None)
        if bar is not None:
            bar.remove()

    def _bar(self, name: str) -> _Bar:
        self.gone(name)
        self._shown[name] = _Bar(self, name)
        return self._shown[name]

    def finished(self, total: int | None) -> None:
        """Move the bar of all cells; ``total`` where it is known."""
        if total is not None:
            self.progress.update(self._cells, total=total)
        else:
            self.progress.advance(self._cells)


class _Bar(LiveWatcher):
    """The bar of one cell among others."""

    def __init__(self, crowd: LiveCrowd, cell_id: str) -> None:
        super().__init__(crowd.console)
        self.progress, self._crowd = crowd.progress, crowd
        self.name = cell_id

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """Show a bar of its own."""
        self._crowd.finished(total)
        self._epochs, self._score = cell.recipe.epochs, ""
        if self._now is None:
            self._now = self.progress.add_task(self.name, total=1)

    def cell_finished(self, record: Record, *, kept: bool) -> None:
        """Print a line above the bars."""
        super().cell_finished(record, kept=kept)
        self._crowd.finished(None)

    def remove(self) -> None:
        """Take it away."""
        if self._now is not None:
            self.progress.remove_task(self._now)
            self._now = None
