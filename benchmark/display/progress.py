"""Display of a run: live bars on a terminal, plain lines elsewhere. Always on standard error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmark.errors import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from benchmark.store.schema import Record
    from benchmark.study.events import Started

_SECONDS_BETWEEN_LINES = 15.0


class QuietDisplay:
    """Messages only."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def notice(self, text: str) -> None:
        """Print a message unchanged."""
        self.console.print(visible(text), markup=False, highlight=False, soft_wrap=True)

    def cell_started(self, cell: Started, number: int, total: int) -> None:
        """Ignore."""

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        """Ignore."""

    def epoch(self, row: dict[str, float]) -> None:
        """Ignore."""

    def phase(self, text: str, done: int, total: int) -> None:
        """Ignore."""

    def cell_finished(self, record: Record, *, kept: bool) -> None:
        """Ignore."""


class PlainDisplay(QuietDisplay):
    """One line per epoch and cell; something at least every quarter of a minute."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last = time.monotonic()
        self._epochs = 0
        self._phase, self._phase_began, self._phase_done = "", 0.0, 0

    def cell_started(self, cell: Started, number: int, total: int) -> None:
        """Name the cell and its number."""
        self._epochs = cell.recipe.epochs
        self._line(f"[{number}/{total}] {cell.id}")

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        """Print the progress of training at intervals."""
        if time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._line(
                f"  epoch {_of(epoch, self._epochs)} step {step}/{steps} loss {loss:.4f} {images_per_s:.1f} images/s"
            )

    def epoch(self, row: dict[str, float]) -> None:
        """Print the epoch's loss and validation score."""
        self._line(f"  epoch {_of(row['epoch'], self._epochs)} {_epoch_text(row)}")

    def phase(self, text: str, done: int, total: int) -> None:
        """Print the current activity at intervals."""
        now = time.monotonic()
        if text != self._phase:
            self._phase, self._phase_began, self._phase_done = text, now, done
        if now - self._last > _SECONDS_BETWEEN_LINES:
            self._line(f"  {text} {done}/{total}{self._remaining(done, total, now)}")

    def cell_finished(self, record: Record, *, kept: bool) -> None:
        """Print the status."""
        self._line(f"  {_status_text(record, kept)}")

    def _remaining(self, done: int, total: int, now: float) -> str:
        """Return the time left at the pace so far; empty before there is a pace."""
        advanced = done - self._phase_done
        if advanced <= 0 or done >= total:
            return ""
        seconds = (now - self._phase_began) / advanced * (total - done)
        return f", about {seconds:.0f} s left" if seconds < 120 else f", about {seconds / 60:.0f} min left"

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        self.notice(text)


class LiveDisplay(QuietDisplay):
    """Two bars: cells of the study, and what the current cell is doing; with loss, validation score, rate and ETA."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.progress = _bars(console)
        self._cells: TaskID | None = None
        self._now: TaskID | None = None
        self._epochs = 0
        self._score = ""
        self._phase = ""
        self.name = ""

    def cell_started(self, cell: Started, number: int, total: int) -> None:
        """Name the cell."""
        if self._cells is None:
            self._cells = self.progress.add_task("cells", total=total)
            self._now = self.progress.add_task("", total=1)
        self._epochs, self._score = cell.recipe.epochs, ""
        self.progress.update(self._cells, description=cell.id, completed=number - 1)
        self.progress.reset(self._task())

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        """Move the bar."""
        where = f"{self.name} epoch" if self.name else "epoch"
        text = f"{where} {_of(epoch, self._epochs)} loss {loss:.4f} {self._score} {images_per_s:.1f} images/s"
        done = (epoch - 1) * steps + step
        self.progress.update(self._task(), description=text, completed=done, total=self._epochs * steps or None)

    def epoch(self, row: dict[str, float]) -> None:
        """Remember the validation score for the display."""
        self._score = f"val Dice {row['val_dice_half']:.3f}"

    def phase(self, text: str, done: int, total: int) -> None:
        """Show another activity."""
        task = self._task()
        if self._cells is None and text != self._phase:  # the ETA counts this activity only
            self.progress.reset(task, total=total)
        self._phase = text
        shown = f"{self.name} {text}" if self.name else text
        self.progress.update(task, description=shown, completed=done, total=total)

    def cell_finished(self, record: Record, *, kept: bool) -> None:
        """Print a line above the bars."""
        self.progress.console.print(f"{record.cell}  {_status_text(record, kept)}", markup=False, highlight=False)
        if self._cells is not None:
            self.progress.advance(self._cells)

    def _task(self) -> TaskID:
        if self._now is None:  # a command without cells
            self._now = self.progress.add_task("", total=None)
        return self._now


def _bars(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _of(epoch: float, epochs: int) -> str:
    """``3/20``, or ``3`` where no cell told how many there are."""
    return f"{epoch:.0f}/{epochs}" if epochs else f"{epoch:.0f}"


def _epoch_text(row: dict[str, float]) -> str:
    return (
        f"loss {row['train_loss']:.4f}  val Dice@0.5 {row['val_dice_half']:.4f}  val mDSC {row['val_mdsc']:.4f}"
        f"  (all foreground {row['val_dice_all_foreground']:.4f})"
    )


def _status_text(record: Record, kept: bool) -> str:
    if record.status != "ok":
        return f"{record.status}: {record.error}"
    scores = ", ".join(
        f"{name} {r.scores['pranet']['mDSC']:.3f}" for name, r in record.tests.items() if "pranet" in r.scores
    )
    seconds, rate = record.timing.get("train_s", 0.0), record.timing.get("images_per_s", 0.0)
    return f"{'kept' if kept else 'ok'}: mDSC {scores} (trained in {seconds:.0f} s, {rate:.1f} images/s)"
