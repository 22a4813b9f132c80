"""Several processes of this machine that train one cell, one per device (``--devices``).

The process that runs the study is the first of them: it alone holds the cell's lock, validates, selects, writes. The
others are started for the cell and end with it; they ignore Ctrl-C and SIGTERM, which the first one handles, and
do not outlive it. Where one of them dies, the cell has failed; the run says so in a line and does not wait for it.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmark.errors import BenchError
from benchmark.execution.process_group import check_devices, group_fabric, leave_group
from benchmark.models.build import build_network
from benchmark.runtime.determinism import deterministic
from benchmark.study.cells import Cell
from benchmark.study.images import TrainingImages

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from lightning_fabric import Fabric

GRACE_S = 120.0
"""Seconds within which the first process must notice, at its next step, that another died; then it is killed."""
TIMEOUT = timedelta(hours=2)
"""Longest wait of a process for another: validation and writing happen in the first one alone."""
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_END = 20.0

EXIT_LOST = 1


@dataclass(frozen=True)
class SharedTraining:
    """A training of several processes: what each of them must know. It is pickled to the others.

    Attributes:
        cell: Model, recipe, seed, dropped parts.
        images: What is trained and validated on.
        last: The state of an unfinished training.
        device: ``auto``, ``cpu`` or ``cuda``.
        world: Number of processes.
        deterministic: Hold torch to deterministic algorithms.
    """

    cell: Cell
    images: TrainingImages
    last: Path
    device: str
    world: int
    deterministic: bool

    def fabric(self, *, rank: int, store: Path) -> Fabric:
        """Join the group as process ``rank``."""
        return group_fabric(self.device, self.cell.recipe, self.world, rank=rank, store=store, timeout=TIMEOUT)


@contextmanager
def crew(training: SharedTraining) -> Iterator[Fabric]:
    """Start the other processes of a training; yields the first one's Fabric.

    Raises:
        BenchError: A process failed or was killed; it is named with the reason.
    """
    check_devices(training.device, training.world, [training.cell])
    folder = Path(tempfile.mkdtemp(prefix="bench-group-"))  # readable by this user only
    others = [_Other(training, rank, folder / "store") for rank in range(1, training.world)]
    watch, threads = _Watch(others), torch.get_num_threads()
    try:
        for other in others:
            other.wait_until_ready()
        watch.start()
        yield training.fabric(rank=0, store=folder / "store")
        # NCCL's leaving is a collective: together where all have come to the end, else by force
        leave_group(abort=not all(other.has_trained() for other in others))
        for other in others:
            other.process.join(_SECONDS_TO_END)
    except Exception as error:
        lost = watch.lost_within(10.0 if isinstance(error, RuntimeError) else 0.0)
        if lost is not None:
            raise BenchError(lost) from None
        raise
    finally:
        watch.end()
        for other in others:
            other.end()
        leave_group()
        torch.set_num_threads(threads)
        shutil.rmtree(folder, ignore_errors=True)


class _Other:
    """One of the other processes, seen from the first."""

    def __init__(self, training: SharedTraining, rank: int, store: Path) -> None:
        self.rank, self.world = rank, training.world
        spawn = multiprocessing.get_context("spawn")
        self.inbox, theirs = spawn.Pipe(duplex=False)
        self.process: BaseProcess = spawn.Process(target=_main, args=(training, rank, store, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self._said = ""

    def wait_until_ready(self) -> None:
        """Wait until network and pixels are loaded; whatever may fail has been tried by then."""
        while not self.inbox.poll(_SECONDS_BETWEEN_LOOKS):
            if not self.process.is_alive():
                raise BenchError(self.how_it_ended())
        if not self._hears("ready"):
            self.process.join(_SECONDS_TO_END)
            raise BenchError(self.how_it_ended())

    def has_trained(self) -> bool:
        """Return whether it reports, within some seconds, that its training is over and it leaves the group."""
        end = time.monotonic() + _SECONDS_TO_END
        while not self._hears("trained"):
            if time.monotonic() > end or not self.process.is_alive():
                return self._hears("trained")
            self.inbox.poll(_SECONDS_BETWEEN_LOOKS)
        return True

    def how_it_ended(self) -> str:
        """One line."""
        self._hears()
        code = self.process.exitcode
        how = self._said or (f"was killed by signal {-code}" if code and code < 0 else f"ended with status {code}")
        return (
            f"process {self.rank + 1} of {self.world} that trained this cell {how}; "
            "run the same command again to continue from the last checkpoint"
        )

    def end(self) -> None:
        """Kill it: it has nothing to save."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join(_SECONDS_TO_END)
        self.inbox.close()

    def _hears(self, expected: str = "") -> bool:
        with suppress(EOFError, OSError):
            while self.inbox.poll():
                self._said = str(self.inbox.recv())
                if self._said == expected:
                    self._said = ""
                    return True
        return False


class _Watch:
    """A thread that notices a death while the first process waits for it in a library's code."""

    def __init__(self, others: list[_Other]) -> None:
        self.others, self.lost = others, ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="crew", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def end(self) -> None:
        """Stop watching: the first process has left the training."""
        self._ended.set()

    def lost_within(self, seconds: float) -> str | None:
        """Return the process that died, waiting briefly for a death that has just shown in a broken connection."""
        end = time.monotonic() + seconds
        while not self.lost and time.monotonic() < end and self._thread.is_alive():
            time.sleep(0.05)
        return self.lost or None

    def _look(self) -> None:
        sentinels = {other.process.sentinel: other for other in self.others}
        while not self._ended.is_set() and sentinels:
            for ended in connection.wait(list(sentinels), _SECONDS_BETWEEN_LOOKS):
                other = sentinels.pop(ended)  # type: ignore[arg-type]
                other.process.join()
                if other.process.exitcode != 0:
                    self.lost = other.how_it_ended()
                    self._give_up()
                    return

    def _give_up(self) -> None:
        leave_group(abort=True)
        if not self._ended.wait(GRACE_S):
            print(f"error: {self.lost}", file=sys.stderr, flush=True)
            os._exit(EXIT_LOST)


def _main(training: SharedTraining, rank: int, store: Path, outbox: Any) -> None:
    """Body of one of the other processes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    warnings.simplefilter("ignore")  # the first process says them
    _end_with_parent()
    try:
        _train_along(training, rank, store, outbox.send)
    except BaseException as error:
        first = str(error).splitlines()[0] if str(error) else ""
        with suppress(OSError):
            outbox.send(f"failed: {type(error).__name__}: {first}")
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - what multiprocessing would print besides
        raise


def _train_along(training: SharedTraining, rank: int, store: Path, tell: Callable[[str], None]) -> None:
    from benchmark.training.loop import train
    from benchmark.training.state import Follower

    cell = training.cell
    # the values of the weights come from the first process with the first step
    model = build_network(cell.spec, cell.recipe, drop=cell.ablation, pretrained=False)
    data = training.images.pools(cell.recipe)
    follower = Follower(training.last, owner=cell.id)
    tell("ready")
    fabric = training.fabric(rank=rank, store=store)
    with deterministic(training.deterministic, fabric.device):
        train(model, cell.recipe, data, seed=cell.draws_seed, fabric=fabric, keeper=follower)
    tell("trained")
    leave_group()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def look() -> None:
        connection.wait([parent.sentinel])
        os._exit(EXIT_LOST)

    threading.Thread(target=look, name="parent", daemon=True).start()
