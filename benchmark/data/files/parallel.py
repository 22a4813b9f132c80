"""Apply a function to many files: on several cores, in order, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

MAX_WORKERS = 8
In = TypeVar("In")
Out = TypeVar("Out")


def ahead(function: Callable[[In], Out], values: Iterable[In]) -> Iterator[Out]:
    """Yield ``function`` of each value, in order, computed on several cores a few values ahead of the reader."""
    workers = min(MAX_WORKERS, num_threads())
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for value in values:
                waiting.append(pool.submit(function, value))
                if len(waiting) >= 3 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def num_threads() -> int:
    """Threads for work outside torch: as many as OMP_NUM_THREADS says, else one per core."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(given) if given.isdigit() and int(given) > 0 else os.cpu_count() or 1
