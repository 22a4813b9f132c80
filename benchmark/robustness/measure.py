"""Measure missing results, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmark.robustness.cells import Asked, Source
from benchmark.robustness.evaluate import Bench, Unit, draft_of
from benchmark.robustness.spread import spread
from benchmark.store.robust_pack import is_current

Progress = Callable[[str, int, int], None]
"""Called with the current unit, and the results done and in all."""


def measure(
    asked: Asked,
    sources: Sequence[Source],
    units: Sequence[Unit],
    *,
    notice: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> int:
    """Measure missing results and return their number.

    Raises:
        BenchError: Weights or images cannot be used, or a result cannot be written.
        KeyboardInterrupt: Stopped; finished results are kept.
    """
    todo = [(unit, [s.record.cell for s in sources if not _is_there(asked, s, unit, notice)]) for unit in units]
    todo = [(unit, cells) for unit, cells in todo if cells]
    total = sum(len(cells) for _, cells in todo)
    done = 0
    if asked.workers > 1 and len(todo) > 1:
        outcomes: Iterator[tuple[Unit, int]] = spread(asked, todo)
    else:
        bench = Bench(asked, sources)
        outcomes = ((unit, bench.run(unit, cells)) for unit, cells in todo)
    for unit, number in outcomes:
        done += number
        progress(unit.text, done, total)
    return done


def _is_there(asked: Asked, source: Source, unit: Unit, notice: Callable[[str], None]) -> bool:
    return is_current(source.paths, draft_of(asked, source, unit), notice)
