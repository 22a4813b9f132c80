"""A whole tuning: plan it, run the trials that are missing, write the recipes and figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.execution.runner import check_weights, check_writable
from benchmark.study.events import SILENT, Events
from benchmark.tuning.figures import draw_tuning
from benchmark.tuning.plan import Asked, Tuning, plan_tuning
from benchmark.tuning.result import Found, collect, write_results
from benchmark.tuning.work import open_slots, work, work_together


@dataclass(frozen=True)
class Tuned:
    """What was found for each model, and the files that hold it."""

    found: list[Found]
    files: list[Path]


def prepare(asked: Asked, notice: Callable[[str], None] = lambda _: None) -> Tuning:
    """Plan a tuning and check folder, device and weights; no trial runs.

    Raises:
        BenchError: A mistake in what was asked, or something that is missing.
    """
    tuning = plan_tuning(asked, notice)
    check_writable(tuning.images.layout.root)
    check_weights(tuning.images)
    return tuning


def finished_trials(tuning: Tuning) -> list[int]:
    """Return how many trials of each model are finished."""
    return [len(slots.finished()) for slots in open_slots(tuning)]


def tune(tuning: Tuning, *, workers: int = 1, events: Events = SILENT) -> Tuned:
    """Run the trials that are missing and write recipes and figures.

    Raises:
        BenchError: A trial could not begin at all, or no trial of a model finished.
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
