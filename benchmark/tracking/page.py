"""The work of `bench track` and `bench ui`: update the mirror, choose runs, wait for a signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmark.errors import BenchError, unknown_name
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record
from benchmark.tracking.connect import place_of
from benchmark.tracking.mirror import Counts, Mirror, mirror_all


def update_mirror(layout: ResultsLayout, *, rebuild: bool = False, checkpoints: bool = False) -> tuple[Mirror, Counts]:
    """Write missing runs to MLflow, or all.

    Raises:
        BenchError: The server is unreachable, or MLflow refuses; the results folder is unchanged.
    """
    with explain(layout):
        return mirror_all(layout, rebuild=rebuild, checkpoints=checkpoints)


def run_ids(mirror: Mirror, layout: ResultsLayout, records: Sequence[Record]) -> list[str]:
    """Return MLflow's ids of some records; missing ones are omitted."""
    with explain(layout):
        return [run.info.run_id for record in records if (run := mirror.run_of(record.cell))]


@contextmanager
def explain(layout: ResultsLayout) -> Iterator[None]:
    """Turn MLflow's long errors into one line with the address."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BenchError(f"MLflow at {place_of(layout).shown}: {reason}; the records are unchanged") from error


def choose_runs(records: Sequence[Record], compare: Sequence[str] | None) -> list[Record]:
    """Return the runs that are compared at once: of each model named, or of all, those that have scores."""
    if compare is None:
        return []
    known = list(dict.fromkeys(record.model for record in records))
    for name in compare:
        if name != "all" and name not in known:
            raise unknown_name("model in these results", name, known)
    return [r for r in records if r.tests and ("all" in compare or r.model in compare)]


class _StopRequest(BaseException):
    """Ctrl-C or SIGTERM."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the body; the server is stopped on the way out."""

    def stop(*_: object) -> None:
        raise _StopRequest

    signs = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(sign, stop) for sign in signs]
    try:
        yield
    except _StopRequest:
        raise SystemExit(0) from None
    finally:
        for sign, handler in zip(signs, before, strict=True):
            signal.signal(sign, handler)
