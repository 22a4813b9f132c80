"""One picture at a time for the networks, a bounded number in line, and a clear word to the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """The line is full."""


class Turns:
    """Gives the networks to one picture at a time, in the order of asking.

    Each frame of a video asks for its own turn, so that a picture never waits for a whole video.

    Args:
        waiting: Pictures that may be in line; of a video never more than one is.
    """

    def __init__(self, *, waiting: int = 32) -> None:
        self._limit, self._count = waiting, 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="predict")

    async def take(self, work: Callable[[], T]) -> T:
        """Run ``work`` in its turn, in a thread.

        Raises:
            BusyError: The line is full; nothing was run.
        """
        if self._count >= self._limit:
            raise BusyError(f"busy: {self._count} pictures are in line; try again in a few seconds")
        self._count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._count -= 1

    def close(self) -> None:
        """Finish the current picture; queued ones are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
