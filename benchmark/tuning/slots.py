"""Exactly N trials per model, by any number of workers on any machines, whichever of them die.

A study has N slots. A slot is taken by a trial that runs or is finished (complete or pruned). A worker takes a
free slot in two steps: it writes (its trial runs in this slot), then it reads; when another trial that has not failed
is in the slot too, it withdraws and tries again later. Of two workers at least one reads what the other wrote, so
no slot is ever finished twice. A running trial carries a lease: who runs it, and a heartbeat. When that process is gone
(same machine), or its heartbeat has not moved for ``SILENCE_S`` by the observer's clock (other machines), the trial
is failed and its slot is free again, with the same parameters. A worker that seemed dead and wakes finds its
trial failed, and its result is dropped. All this is in the storage, so a journal file and a database behave alike.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config import derive_seed
from benchmark.errors import BenchError
from benchmark.store import locks
from benchmark.store.io import explain_os_errors
from benchmark.tuning.space import Pruner

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

HEARTBEAT_S = 10.0
SILENCE_S = 120.0


def open_storage(place: str | None, default: Path) -> BaseStorage:
    """Open a database by URL, or a journal file.

    Raises:
        BenchError: It cannot be reached or written.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if place is None or "://" not in place:
        path = default if place is None else Path(place)
        with explain_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        try:
            return optuna.storages.JournalStorage(backend)
        except Exception as error:  # replaying bytes that are not a journal raises anything
            raise BenchError(f"--storage {path}: not an Optuna journal ({_line(error)}); give another file") from None
    try:
        kwargs = {"connect_args": {"timeout": 60}} if place.startswith("sqlite") else {"pool_pre_ping": True}
        return optuna.storages.RDBStorage(place, engine_kwargs=kwargs)
    except Exception as error:  # SQLAlchemy and each driver raise their own
        raise BenchError(
            f"--storage: cannot use this database ({_line(error)}); expected for example "
            "sqlite:///tuning.db or postgresql://user@host/name"
        ) from None


@dataclass
class Slots:
    """The study of one model, as this process sees it.

    Attributes:
        study: Optuna's study.
        trials: Slots.
        seed: Decides the sampler's draws, together with the slot.
        silence_s: Seconds without a heartbeat after which a worker on another machine counts as dead.
    """

    study: optuna.Study
    trials: int
    seed: int = 0
    silence_s: float = SILENCE_S
    _seen: dict[int, tuple[Any, float]] = field(default_factory=dict, init=False)

    @classmethod
    def open(cls, storage: BaseStorage, name: str, *, trials: int, pruner: Pruner, seed: int) -> Slots:
        """Create the study, or join it."""
        import optuna

        with _explained(name), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # steps are epochs from 1 on, and optuna prunes from the step on that it is given
            rule = optuna.pruners.MedianPruner(pruner.startup_trials, pruner.warmup_epochs + 1)
            study = optuna.create_study(
                storage=storage, study_name=name, direction="maximize", pruner=rule, load_if_exists=True
            )
        return cls(study, trials, seed)

    def claim(self) -> Trial | None:
        """Take a free slot: return a running trial with ``slot`` and ``lease``, or None if none is free."""
        while True:
            with _explained(self.study.study_name):
                everything = self._bury(self.study.get_trials(deepcopy=False))
                free = self._free(everything)
                if not free:
                    return None
                trial = self._take(free[0], everything)
            if trial is not None:
                return trial
            time.sleep(random.uniform(0.05, 0.5))

    def finished(self) -> dict[int, FrozenTrial]:
        """The finished or pruned trial of each slot."""
        with _explained(self.study.study_name):
            everything = self.study.get_trials(deepcopy=False)
            done = {self._slot(t): t for t in everything if t.state.name in ("COMPLETE", "PRUNED")}
        return {slot: done[slot] for slot in range(self.trials) if slot in done}

    def failed(self, trial: Trial, why: str) -> None:
        """Release a slot."""
        with contextlib.suppress(Exception):  # the storage itself may have failed; the lease then expires
            trial.set_user_attr("ended", why)
            self._fail(trial.number)

    def _take(self, slot: int, everything: list[FrozenTrial]) -> Trial | None:
        """Start a trial in a slot; with the parameters of a trial that died in it, which is repeated."""
        died = [t for t in everything if t.state.name == "FAIL" and t.user_attrs.get("slot") == slot and t.params]
        self.study.sampler = sampler(self.seed, slot, died[-1].params if died else None)
        trial = self.study.ask()
        trial.set_user_attr("lease", {**locks.identity(), "where": locks.where()})
        if died:
            trial.set_user_attr("redo_of", died[-1].number)
        trial.set_user_attr("slot", slot)
        rivals = [
            t
            for t in self.study.get_trials(deepcopy=False)
            if t.number != trial.number
            and t.user_attrs.get("slot") == slot
            and t.state.name in ("RUNNING", "COMPLETE", "PRUNED")
        ]
        if rivals:
            self.failed(trial, "withdrawn: the slot was taken")
            return None
        return trial

    def _free(self, everything: list[FrozenTrial]) -> list[int]:
        taken = {self._slot(t) for t in everything if t.state.name != "FAIL"}
        return [slot for slot in range(self.trials) if slot not in taken]

    def _slot(self, trial: FrozenTrial) -> int | None:
        slot = trial.user_attrs.get("slot")
        return slot if isinstance(slot, int) and slot < self.trials else None

    def _bury(self, everything: list[FrozenTrial]) -> list[FrozenTrial]:
        """Fail the trials of dead workers."""
        dead = [t for t in everything if t.state.name == "RUNNING" and self._is_dead(t)]
        for trial in dead:
            self._fail(trial.number)
        return self.study.get_trials(deepcopy=False) if dead else everything

    def _is_dead(self, trial: FrozenTrial) -> bool:
        lease = trial.user_attrs.get("lease")
        if isinstance(lease, dict) and lease.get("where") == locks.where():
            return not locks.is_alive(lease)
        beat, now = trial.user_attrs.get("beat"), time.monotonic()
        before, since = self._seen.get(trial.number, (None, now))
        if trial.number not in self._seen or before != beat:
            self._seen[trial.number] = (beat, now)
            return False
        return now - since > self.silence_s

    def _fail(self, number: int) -> None:
        from optuna.trial import TrialState

        self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def earlier_reports(trial: Trial) -> dict[int, float]:
    """Return the scores by epoch of the trials that this one repeats: where it goes on, it reports no earlier epoch."""
    slot = trial.user_attrs["slot"]
    reports: dict[int, float] = {}
    if "redo_of" in trial.user_attrs:
        for one in trial.study.get_trials(deepcopy=False):
            if one.state.name == "FAIL" and one.user_attrs.get("slot") == slot and one.params == trial.params:
                reports |= one.intermediate_values
    return dict(sorted(reports.items()))


@contextmanager
def heartbeat(trial: Trial, *, parent: int | None = None, every_s: float = HEARTBEAT_S) -> Iterator[None]:
    """Renew a trial's lease while the block lasts; with ``parent``, stop this process when that one is gone."""
    done = threading.Event()

    def beat() -> None:
        number = 0
        while not done.wait(min(every_s, 1.0) if parent else every_s):
            number += 1
            if parent is not None and os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if parent is None or number % max(1, round(every_s)) == 0:
                with contextlib.suppress(Exception):  # the storage is unreachable now; the next beat may succeed
                    trial.set_user_attr("beat", number)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def sampler(seed: int, slot: int, fixed: Mapping[str, Any] | None = None) -> optuna.samplers.BaseSampler:
    """Return TPE whose draws depend only on slot and finished trials: the first ten random, equal for all models.

    Args:
        seed: Of the tuning.
        slot: The trial's.
        fixed: Parameters of a trial that died, to be drawn again.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        free = optuna.samplers.TPESampler(
            seed=derive_seed("tune", seed, slot) % 2**32, constant_liar=True, multivariate=False
        )
        return optuna.samplers.PartialFixedSampler(dict(fixed), free) if fixed else free


@contextmanager
def _explained(study: str) -> Iterator[None]:
    """Turn errors of a storage that fails, or holds foreign content, into one line."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # optuna, SQLAlchemy and each driver raise their own
        raise BenchError(
            f"study {study}: its storage is unreachable, or holds what bench tune did not write "
            f"({type(error).__name__}: {_line(error)}); fix it or give another --storage"
        ) from error


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
