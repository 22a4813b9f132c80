"""Workers: each takes free slots of the studies until all of them are finished."""

from __future__ import annotations

import gc
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.errors import BenchError
from benchmark.runtime.signals import exit_code, raise_on_sigterm
from benchmark.tuning.plan import Asked, Target, Tuning, plan_tuning
from benchmark.tuning.slots import Slots, heartbeat, open_storage
from benchmark.tuning.trial import Ended, run_trial

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from optuna.trial import Trial

    from benchmark.study.events import Events

_SECONDS_BETWEEN_LOOKS = 1.0
_DEATHS_PER_WORKER = 5


def open_slots(tuning: Tuning) -> list[Slots]:
    """Open every model's study in the requested storage."""
    storage = open_storage(tuning.asked.storage, tuning.images.layout.tuning_journal)
    make = tuning.asked.trials
    return [
        Slots.open(storage, target.study, trials=make, pruner=tuning.space.pruner, seed=tuning.seed)
        for target in tuning.targets
    ]


def work(tuning: Tuning, events: Events, *, parent: int | None = None) -> None:
    """Run trials until every study is complete; wait for slots of other workers, and take them over if they die.

    Raises:
        BenchError: A trial could not start.
        KeyboardInterrupt: Stopped by a signal; the current trial is released.
    """
    slots = open_slots(tuning)
    while True:
        for target, ours in zip(tuning.targets, slots, strict=True):
            while (trial := ours.claim()) is not None:
                with heartbeat(trial, parent=parent):
                    _run(tuning, target, ours, trial, events)
                gc.collect()
        if all(len(ours.finished()) == ours.trials for ours in slots):
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _run(tuning: Tuning, target: Target, ours: Slots, trial: Trial, events: Events) -> None:
    slot = trial.user_attrs["slot"]
    shown = f"{target.cell.spec.name}/trial{slot}"
    events.cell_started(replace(target.cell, id=shown), slot + 1, ours.trials)
    begun = time.monotonic()
    try:
        ended = run_trial(tuning, target, trial, events)
    except KeyboardInterrupt:
        ours.failed(trial, "stopped by a signal")
        raise
    except Exception as error:
        ours.failed(trial, f"{type(error).__name__}: {error}")
        raise
    trial.set_user_attr("seconds", round(time.monotonic() - begun, 3))
    _tell(ours, trial, ended)
    result = f"validation score {ended.score:.4f}" if ended.score is not None else ended.reason
    events.notice(f"  {shown}: {result} ({len(ours.finished())} of {ours.trials} trials)")


def _tell(ours: Slots, trial: Trial, ended: Ended) -> None:
    """Finish a trial; one that another worker took over meanwhile keeps that worker's result."""
    from optuna.trial import TrialState

    if ended.score is None:
        trial.set_user_attr("ended", ended.reason)
        ours.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
    else:
        ours.study.tell(trial, ended.score, skip_if_finished=True)


def work_together(asked: Asked, workers: int, on_look: Callable[[], None], say: Callable[[str], None]) -> None:
    """Run several workers as processes; one that is killed is replaced, and its trial is repeated.

    Raises:
        BenchError: A worker ended with an error, or they die repeatedly.
    """
    crowd: list[BaseProcess] = []
    deaths = 0
    with _ended(crowd):
        crowd += [_start(asked) for _ in range(workers)]
        while any(process.is_alive() for process in crowd):
            time.sleep(_SECONDS_BETWEEN_LOOKS / 2)
            on_look()
            for place, process in enumerate(crowd):
                code = process.exitcode
                if code is None or code == 0:
                    continue
                if code > 0:
                    raise BenchError("a worker ended with an error (see above); run the same command again to continue")
                deaths += 1
                if deaths > _DEATHS_PER_WORKER * workers:
                    raise BenchError(f"workers were killed {deaths} times (memory?); try fewer --workers")
                say(f"worker {process.pid} was killed by signal {-code}: its trial is repeated")
                crowd[place] = _start(asked)


@contextmanager
def _ended(crowd: list[BaseProcess]) -> Iterator[None]:
    """Stop all workers at the end of the block; each releases its trial."""
    try:
        yield
    finally:
        for process in crowd:
            if process.is_alive():
                process.terminate()
        for process in crowd:
            process.join(30)


def _start(asked: Asked) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_worker, args=(asked,))
    process.start()
    return process


def _worker(asked: Asked) -> None:
    """Body of a worker process."""
    import os

    from rich.console import Console

    from benchmark.display.progress import QuietDisplay

    raise_on_sigterm()
    try:
        work(plan_tuning(asked), QuietDisplay(Console(stderr=True)), parent=os.getppid())
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt as stop:
        sys.exit(exit_code(stop))
