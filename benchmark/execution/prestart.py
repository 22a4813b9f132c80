"""Worker processes that load their libraries while the command is still planning. Imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.execution.placement import Placement

_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_waiting: list[subprocess.Popen[str]] = []


@contextmanager
def started_ahead(placement: Placement) -> Iterator[None]:
    """Start the workers of a local placement now; those unused at the end of the block are stopped."""
    if placement.executor == "local" and not placement.is_here:
        workers = placement.workers or 1
        _waiting.extend(start(threads_each(placement, workers)) for _ in range(workers))
    try:
        yield
    finally:
        while _waiting:
            _let_go(_waiting.pop())


def take(threads: int) -> subprocess.Popen[str]:
    """Return a worker that waits for its first line: one that was started ahead, or a new one."""
    return _waiting.pop(0) if _waiting else start(threads)


def start(threads: int) -> subprocess.Popen[str]:
    """Start a worker with so many threads."""
    pools = dict.fromkeys(_POOLS, str(threads))
    return subprocess.Popen(  # nosec B603 # no shell; this interpreter and a module of ours
        [sys.executable, "-P", "-m", "benchmark.execution.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **pools},
        start_new_session=True,  # the parent passes on Ctrl-C
    )


def threads_each(placement: Placement, workers: int) -> int:
    """Threads of each of some workers: as asked for, else by OMP_NUM_THREADS, else an equal share of the cores."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    asked = placement.options.get("threads") or (int(given) if given.isdigit() else 0)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return asked or max(1, cores // workers)


def _let_go(process: subprocess.Popen[str]) -> None:
    process.terminate()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
