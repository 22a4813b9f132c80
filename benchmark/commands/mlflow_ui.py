"""`bench track` and `bench ui`."""

from __future__ import annotations

import signal
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.commands.printing import print_json, say
from benchmark.errors import BenchError, unknown_name
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record
from benchmark.tracking.connect import place_of
from benchmark.tracking.mirror import Mirror, mirror_all
from benchmark.tracking.view import compare_url, study_url


def track(
    results: Path, *, rebuild: bool, checkpoints: bool, register: str | None, run: str | None, as_json: bool
) -> None:
    """Mirror what MLflow lacks, or everything; then register a checkpoint where one was asked for.

    Raises:
        BenchError: The server is away, or MLflow refuses; nothing in the results folder has changed.
    """
    if (register is None) != (run is None):
        raise BenchError("--register NAME and --run CELL go together: which checkpoint, under which name?")
    layout = ResultsLayout(results)
    cell = _find_cell(io.read_records(results), run) if run is not None else None
    with _explain(layout):
        mirror, counts = mirror_all(layout, rebuild=rebuild, checkpoints=checkpoints)
        version = _register(mirror, cell, register) if cell is not None and register is not None else None
    facts: dict[str, Any] = {"written": counts.written, "kept": counts.kept, "where": place_of(layout).shown}
    if as_json:
        print_json(facts | ({"model": register, "version": version} if version else {}))
        return
    print(f"{counts.written} runs written, {counts.kept} were there already: {facts['where']}")
    if version:
        print(f"registered models:/{register}/{version}")


def _register(mirror: Mirror, record: Record, name: str) -> str:
    from benchmark.tracking.models import register

    return register(mirror, record, name)


@contextmanager
def _explain(layout: ResultsLayout) -> Iterator[None]:
    """MLflow's errors are many and long: one line of them, with the place."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BenchError(f"MLflow at {place_of(layout).shown}: {reason}; the records are untouched") from error


def _find_cell(records: Sequence[Record], name: str) -> Record:
    wanted = name.removeprefix("runs/").rstrip("/")
    found = [record for record in records if record.cell == wanted] or [r for r in records if r.cell.startswith(wanted)]
    if not found:
        raise unknown_name("run", name, [record.cell for record in records])
    if len(found) > 1:
        raise BenchError(f"--run {name}: fits {', '.join(record.cell for record in found)}; name one")
    return found[0]


def serve(results: Path, *, host: str, port: int | None, open_page: bool, compare: Sequence[str] | None) -> int:
    """Catch up, start the server, print the address, stay until Ctrl-C or SIGTERM; a team's server is only opened."""
    from benchmark.tracking.server import is_loopback, serving

    console, layout = Console(stderr=True), ResultsLayout(results)
    records = io.read_records(results)
    if not records:
        raise BenchError(f"results folder {results}: no records yet; run 'bench run' first or pass --results")
    chosen = _choose(records, compare)
    say(console, "bringing MLflow up to date with the records")
    with _explain(layout):
        mirror, counts = mirror_all(layout)
        run_ids = [run.info.run_id for record in chosen if (run := mirror.run_of(record.cell))]
    say(console, f"{counts.written} runs written, {counts.kept} were there already")
    if place_of(layout).is_server:
        _show(console, place_of(layout).uri, mirror.experiment_id, run_ids, open_page)
        return 0
    if not is_loopback(host):
        say(console, f"warning: MLflow has no login: whoever reaches {host} can read, change and delete these runs")
    with stoppable(), serving(layout, host=host, port=port) as server:
        _show(console, server.url, mirror.experiment_id, run_ids, open_page)
        say(console, "Ctrl-C ends it")
        code = server.process.wait()
    say(console, f"MLflow's server ended by itself (exit code {code})")
    return 1


def _choose(records: Sequence[Record], compare: Sequence[str] | None) -> list[Record]:
    """The runs that are compared at once: of each model named, those that have scores."""
    if compare is None:
        return []
    known = list(dict.fromkeys(record.model for record in records))
    for name in compare:
        if name != "all" and name not in known:
            raise unknown_name("model in these results", name, known)
    return [r for r in records if r.tests and ("all" in compare or r.model in compare)]


def _show(console: Console, server: str, experiment_id: str, run_ids: Sequence[str], open_page: bool) -> None:
    url = compare_url(server, experiment_id, run_ids) if run_ids else study_url(server, experiment_id)
    print(url, flush=True)
    if open_page and not webbrowser.open(url):
        say(console, "no browser here: open the address by hand")


class _StopRequest(BaseException):
    """The user or the system asked to end."""


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
