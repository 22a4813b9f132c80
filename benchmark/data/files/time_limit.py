"""Reading with a time limit: a dead network disk, or a file that another process blocks, must not hang a run.

A read that does not return cannot be stopped from within a process. It stays behind in its own thread, which
ends with the process, and the caller gets an error that names the file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

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
    reader = _own.__dict__.pop("reader", None) or _Reader()
    reader.asked.put((read, path))
    try:
        returned, value = reader.came.get(timeout=limit)
    except Empty:  # its thread stays behind
        raise BenchError(
            f"cannot read {path}: no answer within {limit:g} s; check the disk, and which process blocks the file "
            "(BENCH_READ_LIMIT_S gives a slow disk more time)"
        ) from None
    _own.reader = reader  # not after an interrupted wait: an answer would be taken for the next one's
    if not returned:
        raise value
    return value  # type: ignore[no-any-return]


class _Reader:
    """A thread that reads for one other thread, until that one ends or gives it up."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[Any] = SimpleQueue()
        self.came: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=_serve, args=(self.asked, self.came), name="reading", daemon=True).start()

    def __del__(self) -> None:
        self.asked.put(None)


def _serve(asked: SimpleQueue[Any], came: SimpleQueue[Any]) -> None:
    while (what := asked.get()) is not None:
        read, path = what
        try:
            answer = (True, read(path))
        except BaseException as error:  # the caller handles it
            answer = (False, error)
        came.put(answer)
        del what, read, path, answer  # nothing is kept until the next one


_own = threading.local()


def _forget() -> None:
    _own.__dict__.pop("reader", None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # threads do not live on in a forked process


def _limit() -> float:
    text = os.environ.get("BENCH_READ_LIMIT_S", "")
    try:
        limit = float(text) if text else READ_LIMIT_S
    except ValueError:
        limit = 0.0
    if not 0 < limit < threading.TIMEOUT_MAX:
        raise BenchError(f"BENCH_READ_LIMIT_S={text}: expected seconds above 0, for example 300")
    return limit
