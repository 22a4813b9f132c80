"""A study never holds more finished trials than its slots, whoever dies, sleeps or comes at the same moment."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from postgres import postgres  # noqa: F401 (fixture)

from benchmark.errors import BenchError
from benchmark.tuning.slots import Slots, heartbeat, open_storage
from benchmark.tuning.space import Pruner

ELSEWHERE = {"where": "another machine", "pid": 1, "host": "there", "started": "0"}


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        server: str = request.getfixturevalue("postgres")
        return server
    return f"sqlite:///{tmp_path}/t.db" if request.param == "sqlite" else str(tmp_path / "t.journal")


def join(place: str, *, trials: int = 3) -> Slots:
    storage = open_storage(place, Path("unused"))
    test = os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]  # one server serves all tests
    return Slots.open(storage, test, trials=trials, pruner=Pruner(), seed=0)


def test_workers_that_come_at_once_fill_each_slot_once(place: str) -> None:
    def work(slots: Slots) -> None:
        while (trial := slots.claim()) is not None:
            trial.suggest_float("lr", 0, 1)
            slots.study.tell(trial, 0.5, skip_if_finished=True)

    crowd = [join(place, trials=6) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, crowd))
    done = [t for t in crowd[0].study.trials if t.state.name == "COMPLETE"]
    assert sorted(t.user_attrs["slot"] for t in done) == list(range(6))


def test_the_same_slot_draws_the_same_whoever_takes_it(tmp_path: Path) -> None:
    draws = []
    for name in ("a", "b"):
        slots = join(str(tmp_path / name))
        trial = slots.claim()
        assert trial is not None
        draws.append(trial.suggest_float("lr", 0, 1))
    assert draws[0] == draws[1]


def test_a_silent_worker_elsewhere_is_succeeded_and_its_late_result_is_dropped(place: str) -> None:
    first, second = join(place, trials=1), join(place, trials=1)
    second.silence_s = 0.2
    lost = first.claim()
    assert lost is not None
    value = lost.suggest_float("lr", 0, 1)
    lost.set_user_attr("lease", ELSEWHERE)
    assert second.claim() is None, "it has just been seen for the first time"
    time.sleep(0.3)
    again = second.claim()
    assert again is not None and again.suggest_float("lr", 0, 1) == value and again.user_attrs["redo_of"] == lost.number
    first.study.tell(lost, 0.9, skip_if_finished=True)
    second.study.tell(again, 0.1)
    assert [t.value for t in first.finished().values()] == [0.1]


def test_a_worker_elsewhere_whose_heart_beats_is_left_alone(place: str) -> None:
    first, second = join(place, trials=1), join(place, trials=1)
    second.silence_s = 1.0
    trial = first.claim()
    assert trial is not None
    trial.set_user_attr("lease", ELSEWHERE)
    with heartbeat(trial, every_s=0.1):
        for _ in range(8):
            assert second.claim() is None
            time.sleep(0.25)


class Beats:
    """Takes the beats of a heart."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def set_user_attr(self, _: str, value: int) -> None:
        self.values.append(value)


@pytest.mark.parametrize("parent", [False, True])
def test_a_heart_beats_with_and_without_a_parent_to_watch(parent: bool) -> None:
    trial, end = Beats(), time.monotonic() + 30
    with heartbeat(trial, parent=os.getppid() if parent else None, every_s=0.01):  # type: ignore[arg-type]
        while len(trial.values) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    assert trial.values[:3] == [1, 2, 3]


def test_fewer_trials_than_there_are_change_nothing(place: str) -> None:
    slots = join(place, trials=2)
    while (trial := slots.claim()) is not None:
        slots.study.tell(trial, 0.5)
    assert join(place, trials=1).claim() is None and len(join(place, trials=1).finished()) == 1


def test_who_looked_before_another_took_the_slot_steps_back(tmp_path: Path) -> None:
    first, second = (join(str(tmp_path / "t.journal"), trials=1) for _ in range(2))
    seen = second.study.get_trials(deepcopy=False)  # both look while the slot is free
    assert first.claim() is not None
    assert second._take(0, seen) is None
    states = [(t.state.name, t.user_attrs.get("ended")) for t in first.study.trials]
    assert states == [("RUNNING", None), ("FAIL", "withdrawn: the slot was taken")]


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.journal").write_text("[1]\n")
    with pytest.raises(BenchError, match=r"--storage .*other\.journal: not an Optuna journal"):
        open_storage(str(tmp_path / "other.journal"), Path("unused"))
