"""Executor ``local``: several processes on this machine, each with its share of the threads and its own GPU."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

from benchmark.execution import prestart
from benchmark.execution.job import Job, Told, pack, understood

if TYPE_CHECKING:
    from benchmark.execution.placement import Placement
    from benchmark.study.plan import Study

ROOM = 0.92
"""Share of a GPU's memory that workers divide among them; the rest is for what CUDA itself keeps for each process."""
_TAIL = 12


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    number: int
    cell: str | None = None
    tail: list[str] = field(default_factory=list)
    heard: list[threading.Thread] = field(default_factory=list)


class Processes:
    """See ``benchmark.execution.driver.Executor``."""

    def __init__(self, study: Study, placement: Placement, num_cells: int, say: Callable[[str], None]) -> None:
        self._packed, self._say = pack(study.request), say
        self._told: queue.Queue[Told] = queue.Queue()
        self._stopping = False
        count = self._count = min(placement.workers or 1, num_cells)
        self._threads = prestart.threads_each(placement, placement.workers or 1)
        self._gpus = visible_gpus(study.request.device)
        self._gpus_each = study.request.devices
        self._workers = [self._start(number) for number in range(count)]

    def free(self) -> int:
        """Number of workers without a cell."""
        return sum(worker.cell is None for worker in self._workers)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Give each job to a free worker."""
        for job in jobs:
            place = next(i for i, worker in enumerate(self._workers) if worker.cell is None)
            if self._workers[place].process.poll() is not None:  # it died while idle
                self._workers[place] = self._start(place)
            worker = self._workers[place]
            worker.cell = job.cell
            self._write(worker, json.dumps(asdict(job)))

    def listen(self, seconds: float) -> list[Told]:
        """Messages of the workers, and which of them died."""
        heard = []
        try:
            heard.append(self._told.get(timeout=seconds))
            while True:
                heard.append(self._told.get_nowait())
        except queue.Empty:
            pass
        for worker in self._workers:
            if any(told["cell"] == worker.cell and told["what"] in _LAST for told in heard):
                worker.cell = None
        return heard + self._bury()

    def stop(self) -> None:
        """Let every worker save and end."""
        self._stopping = True
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.terminate()

    def kill(self) -> None:
        """Kill those that are left."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.kill()

    def close(self) -> None:
        """Close the workers' input, which ends them."""
        for worker in self._workers:
            if worker.process.stdin is not None:
                _quietly(worker.process.stdin.close)
        end = time.monotonic() + 20
        for worker in self._workers:
            try:
                worker.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def _start(self, number: int) -> _Worker:
        process = prestart.take(self._threads)
        worker = _Worker(process, number)
        assert process.stdout is not None and process.stderr is not None
        for target, pipe in ((self._hear, process.stdout), (self._hear_errors, process.stderr)):
            worker.heard.append(threading.Thread(target=target, args=(worker, pipe), daemon=True))
            worker.heard[-1].start()
        gpus = gpus_of(number, self._gpus, each=self._gpus_each)
        share = gpu_share(self._count, self._gpus, each=self._gpus_each)
        self._write(worker, json.dumps({**self._packed, "gpus": gpus, "gpu_share": share}))
        return worker

    def _write(self, worker: _Worker, line: str) -> None:
        stdin = worker.process.stdin
        assert stdin is not None

        def write() -> None:
            stdin.write(line + "\n")
            stdin.flush()

        _quietly(write)  # _bury finds dead workers

    def _hear(self, worker: _Worker, pipe: IO[str]) -> None:
        for told in understood(pipe):
            self._told.put(told)

    def _hear_errors(self, worker: _Worker, pipe: IO[str]) -> None:
        """Pass on warnings and tracebacks at once, and the last lines again where the worker dies of them."""
        for line in pipe:
            if not line.strip():
                continue
            worker.tail = [*worker.tail[1 - _TAIL :], line.rstrip()]
            cell = worker.cell
            if cell is not None:
                self._told.put({"cell": cell, "what": "notice", "args": [line.rstrip()]})

    def _bury(self) -> list[Told]:
        """Replace workers that died while they ran a cell."""
        lost: list[Told] = []
        for place, worker in enumerate(self._workers):
            code = worker.process.poll()
            if code is None or worker.cell is None:
                continue
            for thread in worker.heard:
                thread.join(5)
            if not self._told.empty():  # its last messages come first
                continue
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            lost.append({"cell": worker.cell, "what": "lost", "args": [f"worker {worker.process.pid} {how}"]})
            worker.cell = None
            if not self._stopping:
                self._workers[place] = self._start(place)
        return lost


_LAST = ("cell_finished", "busy", "refused", "stopped")


def visible_gpus(device: str) -> list[str]:
    """GPUs to deal out, as CUDA_VISIBLE_DEVICES names them; [] where the device asked for is none, or one by number."""
    if device not in ("auto", "cuda"):
        return []
    import torch

    given = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    count = torch.cuda.device_count()
    return given[:count] if given else [str(k) for k in range(count)]


def gpus_of(number: int, gpus: Sequence[str], *, each: int = 1) -> str | None:
    """CUDA_VISIBLE_DEVICES of one worker: of several GPUs the one (or ``each``) whose turn it is."""
    if not gpus:
        return None
    return ",".join(gpus[(number * each + k) % len(gpus)] for k in range(min(each, len(gpus))))


def gpu_share(workers: int, gpus: Sequence[str], *, each: int = 1) -> float | None:
    """Share of a GPU's memory that each worker may take where several share one; None where each has its own."""
    most = -(-workers * each // len(gpus)) if gpus else 1
    return round(ROOM / most, 4) if most > 1 else None


def _quietly(action: Callable[[], Any]) -> None:
    try:
        action()
    except (BrokenPipeError, OSError, ValueError):
        return
