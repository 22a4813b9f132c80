"""One cell in another process: what is sent there, what it reports meanwhile, how it is run.

Nothing but JSON goes either way. The other side plans the request again: a cell's name covers the images' content, the
recipe and the code of the model, so the same name there is the proof that it would train the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from benchmark.errors import BenchError
from benchmark.execution.process_group import check_devices
from benchmark.store.locks import HEARTBEAT_S, SILENCE_S, Lock
from benchmark.study.plan import Request, Study, plan_study

if TYPE_CHECKING:
    from benchmark.store.schema import Record
    from benchmark.study.cells import Cell
    from benchmark.study.events import Started

Told = dict[str, Any]
"""A message of a job: ``cell``, ``what`` (a method of events, or busy, lost, refused, stopped) and ``args``."""

Tell = Callable[[Told], None]

PATIENCE_S = SILENCE_S + 3 * HEARTBEAT_S
"""Longest wait for the lock of a holder that seems dead: until its heartbeat has been missing long enough."""

_SECONDS_BETWEEN_STEPS = 1.0
_SECONDS_BETWEEN_TRIES = 0.5


@dataclass(frozen=True)
class Job:
    """A cell for another process.

    Attributes:
        cell: Its id.
        patience_s: Seconds to wait for its lock.
    """

    cell: str
    patience_s: float = 0.0


def pack(request: Request) -> dict[str, Any]:
    """Return what another process needs to plan the same study, as JSON."""
    return {"request": TypeAdapter(Request).dump_python(request, mode="json"), "folder": str(Path.cwd())}


def unpack(packed: dict[str, Any]) -> Study:
    """Plan the study again, in the user's working folder if this machine has it.

    Raises:
        BenchError: Data, models, weights or devices differ from those of the driver.
    """
    if Path(packed["folder"]).is_dir():
        os.chdir(packed["folder"])
    study = plan_study(TypeAdapter(Request).validate_python(packed["request"]))
    check_devices(study.request.device, study.request.devices, study.cells)
    return study


def understood(lines: Iterable[str]) -> Iterator[Told]:
    """Parse lines into messages; a line that a signal cut off is skipped."""
    for line in lines:
        with contextlib.suppress(ValueError):
            yield json.loads(line)


class Relay:
    """Events that are passed on as messages, at most one step a second."""

    def __init__(self, cell: str, tell: Tell) -> None:
        self.cell, self._tell = cell, tell
        self._last = 0.0

    def notice(self, text: str) -> None:
        """Pass on."""
        self._send("notice", text)

    def cell_started(self, cell: Started, number: int, total: int) -> None:
        """Send, with the machine's name."""
        self._send("cell_started", platform.node())

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        """Send at most once a second."""
        if self._is_due() or (epoch, step) == (1, 1):
            self._send("step", epoch, step, steps, loss, images_per_s)

    def epoch(self, row: dict[str, float]) -> None:
        """Pass on."""
        self._send("epoch", row)

    def phase(self, text: str, done: int, total: int) -> None:
        """Send at most once a second."""
        if self._is_due():
            self._send("phase", text, done, total)

    def cell_finished(self, record: Record, *, kept: bool) -> None:
        """Pass on."""
        self._send("cell_finished", record.to_json(), kept)

    def _is_due(self) -> bool:
        if time.monotonic() - self._last < _SECONDS_BETWEEN_STEPS:
            return False
        self._last = time.monotonic()
        return True

    def _send(self, what: str, *args: Any) -> None:
        self._tell({"cell": self.cell, "what": what, "args": list(args)})


def run_job(plan: Callable[[], Study], job: Job, tell: Tell) -> None:
    """Run one cell of a study and report how it ended: ``cell_finished``, ``busy``, ``refused`` or ``stopped``.

    Args:
        plan: Returns the study as planned on this machine.
        job: Which cell.
        tell: Receives every message.
    Raises:
        KeyboardInterrupt: A signal came; the cell is saved and its lock released.
    """
    relay = Relay(job.cell, tell)
    end = time.monotonic() + job.patience_s
    try:
        study = plan()
        number, cell = _find(study, job.cell)
        lock = Lock(study.layout.lock(cell.id))
        while not _attempted(study, cell, number, lock, relay):
            if time.monotonic() > end:
                tell({"cell": job.cell, "what": "busy", "args": [lock.holder()]})
                return
            time.sleep(_SECONDS_BETWEEN_TRIES)
    except KeyboardInterrupt:
        tell({"cell": job.cell, "what": "stopped", "args": []})
        raise
    except Exception as error:
        _refuse(job.cell, error, tell)


def _attempted(study: Study, cell: Cell, number: int, lock: Lock, relay: Relay) -> bool:
    from benchmark.execution.runner import attempt

    return attempt(study, cell, number, lock, relay) is not None


def _find(study: Study, cell_id: str) -> tuple[int, Cell]:
    for number, cell in enumerate(study.cells, start=1):
        if cell.id == cell_id:
            return number, cell
    raise BenchError(
        f"{platform.node()} has different images, recipe or code: it does not plan {cell_id}, but "
        f"{', '.join(cell.id for cell in study.cells)}; give every machine the same data and package"
    )


def _refuse(cell: str, error: Exception, tell: Tell) -> None:
    """Report an error that is not the cell's own: it stops the whole study, as it would in one process."""
    if not isinstance(error, BenchError):
        tell({"cell": cell, "what": "notice", "args": [traceback.format_exc()]})
    text = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
    tell({"cell": cell, "what": "refused", "args": [text]})
