"""A command in progress: its own record, and the MLflow mirror that follows each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.store import io
from benchmark.store.commands import Command, CommandStatus, read_commands, write_command
from benchmark.store.layout import ResultsLayout

if TYPE_CHECKING:
    from benchmark.store.schema import Record
    from benchmark.study.events import Events, Started
    from benchmark.study.plan import Request
    from benchmark.tracking.mirror import Mirror


@dataclass
class Tracker:
    """A command in progress.

    Attributes:
        notice: Receives one line if MLflow could not be updated.
        files: Tables and figures written.
        failed: Whether a cell of it failed.
        in_hand: The cells that have started and not finished.
    """

    notice: Callable[[str], None]
    layout: ResultsLayout
    command: Command
    track: bool
    checkpoints: bool = False
    files: list[Path] = field(default_factory=list)
    failed: bool = False
    in_hand: set[str] = field(default_factory=set)
    _kept: list[Record] = field(default_factory=list)
    _mirror: Mirror | None = None

    def record(self, record: Record, *, kept: bool = False) -> None:
        """Note a record; write and mirror it at once if it is new."""
        self.in_hand.discard(record.cell)
        self.failed |= record.status != "ok"
        self.command = self.command.with_record(record)
        if kept:  # the end writes all that were there already, once
            self._kept.append(record)
        else:
            write_command(self.layout, self.command)
            self._update([record])

    def end(self, status: CommandStatus) -> None:
        """Note how the command ended, and the state of the cells that were interrupted."""
        for cut_off in (self.layout.cell(cell).record for cell in sorted(self.in_hand)):
            if not cut_off.is_file():
                continue
            record = io.read_record(cut_off)
            self.command = self.command.with_record(record)
            self._kept.append(record)
        self.command = self.command.end(status, self.layout, self.files)
        write_command(self.layout, self.command)
        self._update(self._kept)

    def _update(self, records: Sequence[Record]) -> None:
        if not self.track:
            return
        try:
            if self._mirror is None:
                from benchmark.tracking.mirror import Mirror

                self._mirror = Mirror(self.layout, checkpoints=self.checkpoints)
                records = io.read_records(self.layout.root) if self._mirror.is_new else records
            self._mirror.sync(records, read_commands(self.layout))
        except Exception as error:  # the store is complete; an unreachable tracking server must not fail a study
            self.track = False
            reason = (str(error) or type(error).__name__).splitlines()[0]
            self.notice(
                f"warning: MLflow was not updated ({reason}); the records are complete, 'bench track' catches up"
            )


@contextmanager
def tracked(
    layout: ResultsLayout,
    name: str,
    asked: dict[str, Any],
    *,
    track: bool,
    checkpoints: bool = False,
    notice: Callable[[str], None] = lambda _: None,
) -> Iterator[Tracker]:
    """Record a command from its start, and mirror each cell as soon as it is finished."""
    tracker = Tracker(notice, layout, Command.start(name, asked), track, checkpoints)
    write_command(layout, tracker.command)
    try:
        yield tracker
    except BaseException as error:
        tracker.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    tracker.end("failed" if tracker.failed else "finished")


def asked_of(request: Request) -> dict[str, Any]:
    """Return the options that define the comparison; no local folder."""
    return {
        "models": [Path(name).name if ".py" in name else name for name in request.models],
        "datasets": list(request.datasets),
        "split": request.split,
        "split_seed": request.split_seed,
        "recipe": Path(request.recipe).stem,
        "set": dict(request.overrides),
        "seeds": list(request.seeds),
        "drop": [list(parts) for parts in request.ablations if parts],
        "engine": request.engine,
    }


@dataclass
class TrackedEvents:
    """Events that also report every finished cell to a tracker."""

    inner: Events
    tracker: Tracker

    def notice(self, text: str) -> None:
        """Pass on."""
        self.inner.notice(text)

    def cell_started(self, cell: Started, number: int, total: int) -> None:
        """Pass on."""
        self.tracker.in_hand.add(cell.id)
        self.inner.cell_started(cell, number, total)

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        """Pass on."""
        self.inner.step(epoch, step, steps, loss, images_per_s)

    def epoch(self, row: dict[str, float]) -> None:
        """Pass on."""
        self.inner.epoch(row)

    def phase(self, text: str, done: int, total: int) -> None:
        """Pass on."""
        self.inner.phase(text, done, total)

    def cell_finished(self, record: Record, *, kept: bool) -> None:
        """Pass on, note and mirror a record."""
        self.inner.cell_finished(record, kept=kept)
        self.tracker.record(record, kept=kept)
