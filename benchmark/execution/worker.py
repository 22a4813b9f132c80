"""A worker process of this machine: reads jobs from standard input, writes messages to standard output.

The first line is the packed study, each further one a job. The end of the input means that the parent is done
or dead: a running cell is then saved as after SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

from benchmark.runtime.memory import GPU_SHARE
from benchmark.runtime.signals import exit_code, raise_on_sigterm

if TYPE_CHECKING:
    from benchmark.execution.job import Told
    from benchmark.study.plan import Study


def main() -> None:
    """Serve until there is no more input."""
    raise_on_sigterm()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library's print is no message
    try:
        _serve(out)
    except KeyboardInterrupt as stop:
        sys.exit(exit_code(stop))
    finally:
        with contextlib.suppress(OSError):
            out.close()


def _serve(out: IO[str]) -> None:
    import benchmark.execution.runner  # noqa: F401 (loaded while the parent may still plan)
    from benchmark.execution.job import Job, run_job, unpack

    def tell(told: Told) -> None:
        with contextlib.suppress(OSError):  # the parent is gone: the cell must be saved nevertheless
            print(json.dumps(told), file=out, flush=True)

    first = sys.stdin.readline()
    if not first:
        return
    jobs = _Jobs(json.loads(first))
    if jobs.packed["gpus"] is not None:  # CUDA reads it on first use
        os.environ["CUDA_VISIBLE_DEVICES"] = jobs.packed["gpus"]
    if jobs.packed.get("gpu_share") is not None:
        os.environ[GPU_SHARE] = str(jobs.packed["gpu_share"])
    studies: list[Study] = []

    def plan() -> Study:
        if not studies:
            studies.append(unpack(jobs.packed))
        return studies[0]

    with contextlib.suppress(Exception):  # before the first job, which reports what is wrong
        plan()
    while (job := jobs.next()) is not None:
        run_job(plan, Job(**job), tell)


class _Jobs:
    """Jobs from standard input, read by a thread that notices its end at once."""

    def __init__(self, packed: dict[str, Any]) -> None:
        self.packed = packed
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._at_work = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> dict[str, Any] | None:
        """Wait for the next job; None at the end."""
        self._at_work.clear()
        job = self._queue.get()
        self._at_work.set()
        return job

    def _read(self) -> None:
        for line in sys.stdin:
            self._queue.put(json.loads(line))
        self._queue.put(None)
        if self._at_work.is_set():
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
