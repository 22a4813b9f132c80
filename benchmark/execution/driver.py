"""Hands cells to an executor until all are finished: longest first, once more where a worker was lost.

The driver is one process; executors differ in how a job reaches a worker and how its messages come back.
"""

from __future__ import annotations

import contextlib
import importlib
import platform
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from benchmark.errors import BenchError
from benchmark.execution.cell import unreachable
from benchmark.execution.job import PATIENCE_S, Job, Told
from benchmark.execution.order import longest_first
from benchmark.execution.runner import SECONDS_BETWEEN_LOOKS, attempt, begin
from benchmark.store import io
from benchmark.store.locks import Lock
from benchmark.store.schema import Record
from benchmark.study.reuse import is_finished

if TYPE_CHECKING:
    from benchmark.execution.placement import Placement
    from benchmark.study.cells import Cell
    from benchmark.study.events import Events, ManyEvents
    from benchmark.study.plan import Study

RETRIES = 3
_SECONDS_TO_STOP = 90.0
_EXECUTORS = {
    "local": "benchmark.execution.processes:Processes",
    "ray": "benchmark.execution.ray_cluster:RayCluster",
    "slurm": "benchmark.execution.slurm:SlurmJobs",
}
_ENDS = ("cell_finished", "busy", "lost", "refused", "stopped")


class Executor(Protocol):
    """Carries jobs to workers and their messages back."""

    def free(self) -> int:
        """Number of further jobs it can take now."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Start some jobs."""

    def listen(self, seconds: float) -> list[Told]:
        """Messages since the last call, after at most ``seconds``. A dead worker is ``lost``, with the reason."""

    def stop(self) -> None:
        """Ask every job to save and stop; ``listen`` still reports how they ended."""

    def kill(self) -> None:
        """Kill what is still running."""

    def close(self) -> None:
        """Release all resources."""


@dataclass
class Spread:
    """A study whose cells run in several processes.

    Attributes:
        study: The plan; its request resumes, whatever the user asked for (see ``ready``).
        events: Receive progress.
        wrap: Turns the events of one cell into those that are passed on.
        retries: How often a cell may be lost before the run stops.
    """

    study: Study
    events: ManyEvents
    wrap: Callable[[Events], Events]
    retries: int = RETRIES
    records: dict[str, Record] = field(default_factory=dict)
    _queue: deque[Job] = field(default_factory=deque)
    _out: dict[str, Events] = field(default_factory=dict)
    _held: dict[str, Lock] = field(default_factory=dict)
    _lost: Counter[str] = field(default_factory=Counter)
    _looked: float = 0.0

    def run(self, executor: Executor, todo: Sequence[Cell]) -> None:
        """Run the cells that are not finished.

        Raises:
            BenchError: A worker cannot run this study, or a cell was lost too often.
            KeyboardInterrupt: A signal came; whatever was started has been stopped and has saved its work.
        """
        self._queue.extend(Job(cell.id) for cell in todo)
        try:
            while len(self.records) < len(self.study.cells):
                self._give_out(executor)
                for told in executor.listen(0.5):
                    self._hear(told)
                self._look_at_held()
        except BaseException:
            self._stop(executor)
            raise

    def keep(self, cell: Cell) -> bool:
        """Take a finished cell's record; False where another process holds its lock."""
        number = self.study.cells.index(cell) + 1
        record = attempt(self.study, cell, number, self._lock(cell.id), self.wrap(self.events.of(cell)))
        if record is not None:
            self.records[cell.id] = record
        return record is not None

    def pass_over(self, records: Mapping[str, Record]) -> None:
        """Take the records of cells that cannot be begun."""
        for cell_id, record in records.items():
            events, cell = self.wrap(self.events.of(self._cell(cell_id))), self._cell(cell_id)
            events.cell_started(cell, self.study.cells.index(cell) + 1, len(self.study.cells))
            events.cell_finished(record, kept=False)
            self.records[cell_id] = record

    def _give_out(self, executor: Executor) -> None:
        jobs = [self._queue.popleft() for _ in range(min(executor.free(), len(self._queue)))]
        for job in jobs:
            self._out[job.cell] = self.wrap(self.events.of(self._cell(job.cell)))
        if jobs:
            executor.submit(jobs)

    def _hear(self, told: Told) -> None:
        cell, what, args = told["cell"], told["what"], told["args"]
        events = self._out.get(cell)
        if events is None:  # a word of a worker that had been given up
            return
        if what in _ENDS:
            del self._out[cell]
        if what == "cell_started":
            index = self.study.cells.index(self._cell(cell))
            if args[0] != platform.node():
                self.events.place(cell, args[0])
            events.cell_started(self.study.cells[index], index + 1, len(self.study.cells))
        elif what == "cell_finished":
            self.records[cell] = Record.model_validate(args[0])
            events.cell_finished(self.records[cell], kept=args[1])
        elif what == "busy":
            self._held[cell] = self._lock(cell)
            self.events.notice(f"{cell}: locked by {args[0]}; skipping")
        elif what == "lost":
            self._lose(cell, args[0])
        elif what == "refused":
            raise BenchError(args[0])
        elif what != "stopped":
            getattr(events, what)(*args)
        else:
            self._lose(cell, "its worker was told to stop")
        if what in _ENDS:
            self.events.gone(cell)

    def _lose(self, cell: str, reason: str) -> None:
        self._lost[cell] += 1
        if self._lost[cell] > self.retries:
            raise BenchError(
                f"{cell}: given up after {self._lost[cell]} workers were lost (the last: {reason}); finished cells are "
                "kept; run the same command again to continue"
            )
        self.events.notice(f"{cell}: {reason}; another worker continues from its last checkpoint")
        self._queue.appendleft(Job(cell, PATIENCE_S))

    def _look_at_held(self) -> None:
        """Queue cells that another process had locked again as soon as their locks are free."""
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        for cell in [cell for cell, lock in self._held.items() if not lock.is_held()]:
            del self._held[cell]
            self._queue.append(Job(cell, PATIENCE_S))

    def _stop(self, executor: Executor) -> None:
        """Let running cells save and end; their last messages still reach the records."""
        end = time.monotonic() + _SECONDS_TO_STOP
        try:
            if self._out:
                self.events.notice(f"stopping {len(self._out)} cells; each saves first (again to stop at once)")
            executor.stop()
            while self._out and time.monotonic() < end:
                for told in executor.listen(0.5):
                    if told["what"] in ("refused", "lost", "stopped", "busy"):
                        self._out.pop(told["cell"], None)
                    else:
                        self._hear(told)
        finally:
            executor.kill()

    def _cell(self, cell_id: str) -> Cell:
        return next(cell for cell in self.study.cells if cell.id == cell_id)

    def _lock(self, cell_id: str) -> Lock:
        return Lock(self.study.layout.lock(cell_id))


def run_spread(
    study: Study, placement: Placement, events: ManyEvents, wrap: Callable[[Events], Events]
) -> list[Record]:
    """Run a study's cells by an executor, as ``runner.run_study`` does in this process.

    Args:
        study: The plan.
        placement: Which executor, with its options.
        events: Receive progress.
        wrap: Turns the events of one cell into those that are passed on.
    Returns:
        The records, in the order of the study's cells.
    Raises:
        BenchError: The executor is not available, or see ``Spread.run``.
        KeyboardInterrupt: See ``Spread.run``.
    """
    make = _executor_class(placement.executor)
    begin(study, events.whole(), here=placement.executor == "local")
    events.gone("")
    study, lost = ready(study)
    spread = Spread(study, events, wrap, placement.options.get("retries", RETRIES))
    spread.pass_over(lost)
    todo = [cell for cell in study.cells if cell.id not in lost]
    todo = [cell for cell in todo if not (is_finished(study, cell) and spread.keep(cell))]
    if todo:
        with contextlib.closing(make(study, placement, len(todo), events.notice)) as executor:
            spread.run(executor, longest_first(study, todo))
    return [spread.records[cell.id] for cell in study.cells]


def ready(study: Study) -> tuple[Study, dict[str, Record]]:
    """Remove once what ``--if-exists`` discards; from then on every worker resumes, also after another was lost.

    Returns:
        The study that resumes, and the records of cells whose old files or lock cannot be touched, by cell.
    """
    lost: dict[str, Record] = {}
    for cell in study.cells if study.request.if_exists != "resume" else ():
        try:
            _discard(study, cell)
        except (BenchError, OSError) as error:
            lost[cell.id] = unreachable(study, cell, error)
    return replace(study, request=replace(study.request, if_exists="resume")), lost


def _discard(study: Study, cell: Cell) -> None:
    paths = study.layout.cell(cell.id)
    with Lock(study.layout.lock(cell.id)).attempt() as held:
        done = paths.record.is_file() and io.read_record(paths.record).status == "ok"
        if held and (study.request.if_exists == "overwrite" or not done):
            for path in (paths.last, paths.record, paths.best):
                path.unlink(missing_ok=True)


def _executor_class(name: str) -> Any:
    """Import an executor; the others' packages are not needed, and ``place`` has seen whether its own is there."""
    module, _, cls = _EXECUTORS[name].partition(":")
    return getattr(importlib.import_module(module), cls)
