"""Reading with a time limit: a dead network disk, or a file that another process blocks, must not hang a run.

A read that does not return cannot be stopped from within a process. It stays behind in its own thread, which
ends with the process, and the caller gets an error that names the file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmark.errors import BenchError

READ_LIMIT_S = 120.0
"""For one file or folder; ``BENCH_READ_LIMIT_S`` in the environment overrides it."""

T = TypeVar("T")


def in_time(read: Callable[[Path], T], path: Path) -> T:
    """Return ``read(path)``.

    Raises:
        BenchError: It has not returned within the limit; the line names ``path``.
    """
    limit = _limit()
    came: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            came.append(read(path))
        except BaseException as error:  # the caller handles it
            raised.append(error)

    thread = threading.Thread(target=run, name=f"reading {path.name}", daemon=True)
    thread.start()
    thread.join(limit)
    if came:
        return came[0]
    if raised:
        raise raised.pop()
    raise BenchError(
        f"cannot read {path}: no answer within {limit:g} s; check the disk, and which process blocks the file "
        "(BENCH_READ_LIMIT_S gives a slow disk more time)"
    )


def _limit() -> float:
    text = os.environ.get("BENCH_READ_LIMIT_S", "")
    try:
        limit = float(text) if text else READ_LIMIT_S
    except ValueError:
        limit = 0.0
    if not 0 < limit < threading.TIMEOUT_MAX:
        raise BenchError(f"BENCH_READ_LIMIT_S={text}: expected seconds above 0, for example 300")
    return limit
