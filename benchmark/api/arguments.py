"""Arguments that the functions share, brought into the form that the harness takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import unknown_name

if TYPE_CHECKING:
    from benchmark.execution.placement import Placement
    from benchmark.study.plan import Request

Names = str | Sequence[str]


@contextmanager
def shown_events(quiet: bool, *, many: bool = False) -> Iterator[Any]:
    """Events that are shown on standard error, unless ``quiet``."""
    if quiet:
        from benchmark.study.events import SILENT

        yield SILENT
        return
    from rich.console import Console

    from benchmark.display.choose import watch_run

    with watch_run(Console(stderr=True), many=many) as events:
        yield events


def make_placement(executor: str, workers: int | None, options: Mapping[str, Any] | None) -> Placement:
    from benchmark.execution.placement import place

    return place(executor, workers, [f"{key}={value}" for key, value in (options or {}).items()])


def refuse_unknown(options: Iterable[str], known: Collection[str]) -> None:
    """Refuse options that a function does not have.

    Raises:
        BenchError: The first of them, with the nearest known one.
    """
    for option in options:
        if option not in known:
            raise unknown_name("option", option, known)


def make_request(
    models: Names,
    datasets: Names,
    seeds: int | Sequence[int],
    overrides: Mapping[str, Any] | None,
    options: dict[str, Any],
) -> Request:
    from benchmark.study.plan import Request

    known = {field.name for field in fields(Request)} - {"models", "datasets", "seeds", "overrides", "ablations"}
    refuse_unknown(options, known)
    paths = {name: as_path(options.get(name)) for name in ("data_root", "results", "cache_dir", "weights_dir")}
    return Request(
        models=as_names(models),
        datasets=as_names(datasets),
        seeds=(seeds,) if isinstance(seeds, int) else tuple(seeds),
        overrides=dict(overrides or {}),
        **{**options, **{name: path for name, path in paths.items() if path is not None}},
    )


def as_names(given: Names) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else given
    return [part.strip() for part in parts if part.strip()]


def as_path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
