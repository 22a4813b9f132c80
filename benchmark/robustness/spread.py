"""Measure in several processes; each takes whole units, so an image is corrupted once for all networks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING

from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.robustness.cells import Asked
    from benchmark.robustness.evaluate import Bench, Unit

_here: list[Bench] = []


def spread(asked: Asked, todo: Sequence[tuple[Unit, list[str]]]) -> Iterator[tuple[Unit, int]]:
    """Measure units in ``asked.workers`` processes; yield each finished unit and its number of results.

    Raises:
        BenchError: A worker raised an error or died; finished results are kept.
    """
    threads = max(1, (os.cpu_count() or 1) // asked.workers)
    with ProcessPoolExecutor(asked.workers, get_context("spawn"), _start, (asked, threads)) as pool:
        waiting = {pool.submit(_run, unit, cells): unit for unit, cells in todo}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BrokenProcessPool:
            raise BenchError(
                "a worker of bench robust died (out of memory?); finished results are kept: run the command again with "
                "fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start(asked: Asked, threads: int) -> None:
    import torch

    from benchmark.robustness.cells import find_sources
    from benchmark.robustness.evaluate import Bench

    torch.set_num_threads(threads)
    _here.append(Bench(asked, find_sources(asked)))


def _run(unit: Unit, cells: list[str]) -> int:
    return _here[0].run(unit, cells)
