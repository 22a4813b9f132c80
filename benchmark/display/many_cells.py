"""Display of a run over several workers: each cell's lines under its name, or a bar for each running cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.display.progress import LiveDisplay, PlainDisplay, QuietDisplay

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.store.schema import Record
    from benchmark.study.events import Events, Started


class QuietCells:
    """Messages only."""

    def __init__(self, console: Console) -> None:
        self._told = QuietDisplay(console)
        self.console = console

    def notice(self, text: str) -> None:
        """Print a message unchanged."""
        self._told.notice(text)

    def whole(self) -> Events:
        """Return the display of whatever concerns no single cell; ``gone("")`` ends it."""
        return self._told

    def of(self, cell: Started) -> Events:
        """Return the display of one cell."""
        return self._told

    def place(self, cell_id: str, host: str) -> None:
        """Ignore where a cell runs."""

    def gone(self, cell_id: str) -> None:
        """Ignore that a cell has ended or moved."""


class PlainCells(QuietCells):
    """Lines, each with the name of its cell."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._hosts: dict[str, str] = {}

    def whole(self) -> Events:
        """Return the display of whatever concerns no single cell."""
        return PlainDisplay(self.console)

    def of(self, cell: Started) -> Events:
        """Return the display of one cell."""
        return _NamedLines(self.console, cell.id, self._hosts)

    def place(self, cell_id: str, host: str) -> None:
        """Remember where a cell runs, for the line that names it."""
        self._hosts[cell_id] = host


class _NamedLines(PlainDisplay):
    def __init__(self, console: Console, cell_id: str, hosts: dict[str, str]) -> None:
        super().__init__(console)
        self._cell, self._hosts = cell_id, hosts

    def cell_started(self, cell: Started, number: int, total: int) -> None:
        super().cell_started(cell, number, total)
        if self._cell in self._hosts:
            super().notice(f"  {self._cell}  runs on {self._hosts[self._cell]}")

    def notice(self, text: str) -> None:
        super().notice(text if self._cell in text else f"  {self._cell}  {text.strip()}")


class LiveCells(QuietCells):
    """One bar for all cells, and one for each that runs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        first = LiveDisplay(console)
        self.progress = first.progress
        self._cells = self.progress.add_task("cells", total=None)
        self._shown: dict[str, _Bar] = {}

    def whole(self) -> Events:
        """Return the display of whatever concerns no single cell."""
        return self._bar("")

    def of(self, cell: Started) -> Events:
        """Return the display of one cell."""
        return self._bar(cell.id)

    def gone(self, cell_id: str) -> None:
        """Remove a cell's bar."""
        bar = self._shown.pop(cell_id, None)
        if bar is not None:
            bar.remove()

    def _bar(self, name: str) -> _Bar:
        self.gone(name)
        self._shown[name] = _Bar(self, name)
        return self._shown[name]

    def finished(self, total: int | None) -> None:
        """Move the bar of all cells; ``total`` if it is known."""
        if total is not None:
            self.progress.update(self._cells, total=total)
        else:
            self.progress.advance(self._cells)


class _Bar(LiveDisplay):
    """The bar of one cell among others."""

    def __init__(self, cells: LiveCells, cell_id: str) -> None:
        super().__init__(cells.console)
        self.progress, self._all = cells.progress, cells
        self.name = cell_id

    def cell_started(self, cell: Started, number: int, total: int) -> None:
        """Add its bar."""
        self._all.finished(total)
        self._epochs, self._score = cell.recipe.epochs, ""
        if self._now is None:
            self._now = self.progress.add_task(self.name, total=1)

    def cell_finished(self, record: Record, *, kept: bool) -> None:
        """Print a line above the bars."""
        super().cell_finished(record, kept=kept)
        self._all.finished(None)

    def remove(self) -> None:
        """Remove it."""
        if self._now is not None:
            self.progress.remove_task(self._now)
            self._now = None
