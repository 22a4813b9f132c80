"""A whole tuning: plan, run missing trials, write recipes and figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.execution.runner import check_weights, check_writable
from benchmark.execution.trial_pass import try_networks, try_recipe
from benchmark.recipes.read import validate_recipe
from benchmark.study.events import SILENT, Events
from benchmark.tuning.figures import draw_tuning
from benchmark.tuning.plan import Asked, Tuning, plan_tuning
from benchmark.tuning.result import Found, collect, write_results
from benchmark.tuning.work import open_slots, work, work_together


@dataclass(frozen=True)
class Tuned:
    """Results for each model, and their files."""

    found: list[Found]
    files: list[Path]


def prepare(asked: Asked, notice: Callable[[str], None] = lambda _: None) -> Tuning:
    """Plan a tuning, check folder, device and weights, and try each network once; no trial runs.

    Raises:
        BenchError: A user error, or something is missing.
    """
    tuning = plan_tuning(asked, notice)
    check_writable(tuning.images.layout.root)
    check_weights(tuning.images)
    _try_choices(tuning)
    for note in try_networks([target.cell for target in tuning.targets]):
        notice(f"warning    {note}")
    return tuning


def _try_choices(tuning: Tuning) -> None:
    """Try the losses and transforms among the choices of the search space; see ``try_recipe``."""
    base = tuning.targets[0].cell.recipe.model_dump()
    for field in ("loss", "transforms"):
        for value in tuning.space.search[field].corners if field in tuning.space.search else ():
            try_recipe(validate_recipe({**base, field: value}, where="search space"))


def finished_trials(tuning: Tuning) -> list[int]:
    """Return how many trials of each model are finished."""
    return [len(slots.finished()) for slots in open_slots(tuning)]


def tune(tuning: Tuning, *, workers: int = 1, events: Events = SILENT) -> Tuned:
    """Run missing trials and write recipes and figures.

    Raises:
        BenchError: A trial could not start, or no trial of a model finished.
        KeyboardInterrupt: Stopped by a signal; finished trials are kept.
    """
    slots = open_slots(tuning)
    wanted = sum(ours.trials for ours in slots)
    if sum(len(ours.finished()) for ours in slots) < wanted:
        if workers == 1:
            work(tuning, events)
        else:
            work_together(
                tuning.asked,
                workers,
                lambda: events.phase("trials", sum(len(ours.finished()) for ours in slots), wanted),
                events.notice,
            )
    found = collect(tuning, slots)
    return Tuned(found, write_results(tuning, found) + draw_tuning(tuning, found, slots, events.notice))
