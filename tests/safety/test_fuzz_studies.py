"""A study database or journal from a stranger: refused in one line, or worked with; nothing in it is run."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fuzzing import changed, one_line, torn
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import BenchError
from benchmark.tuning.result import _row
from benchmark.tuning.slots import Slots, open_storage
from benchmark.tuning.space import Pruner, load_space


def join(place: str) -> Slots:
    return Slots.open(open_storage(place, Path("unused")), "unet/x", trials=3, pruner=Pruner(), seed=0)


def use(place: str) -> None:
    """What a worker does: look, take a slot, ask for values, and read what others found."""
    slots = join(place)
    target = SimpleNamespace(study="unet/x", cell=SimpleNamespace(spec=SimpleNamespace(name="unet")))
    tuning: Any = SimpleNamespace(space=load_space(None))
    for slot, trial in slots.finished().items():
        _row(tuning, target, slot, trial)  # type: ignore[arg-type]
    trial = slots.claim()
    if trial is not None:
        trial.set_user_attr("seconds", 1.0)
        slots.failed(trial, "done looking")


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A study with a finished trial and one whose worker died."""
    path = tmp_path_factory.mktemp("study") / "whole.journal"
    slots = join(str(path))
    for value in (0.5, None):
        trial = slots.claim()
        assert trial is not None
        trial.suggest_float("lr", 1e-4, 1e-2, log=True)
        trial.suggest_categorical("loss", ['"bce"', '"dice"'])
        if value is not None:
            slots.study.tell(trial, value)
    return path.read_bytes()


@given(data=st.data())
def test_any_byte_of_a_journal(tmp_path: Path, journal: bytes, data: st.DataObject) -> None:
    path = tmp_path / "t.journal"
    path.write_bytes(data.draw(torn([journal])))
    one_line(lambda: use(str(path)), "journal bytes")


@given(data=st.data())
def test_any_value_of_a_journal(tmp_path: Path, journal: bytes, data: st.DataObject) -> None:
    lines = data.draw(changed([json.loads(line) for line in journal.splitlines()]))
    path = tmp_path / "t.journal"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) if isinstance(lines, list) else "")
    one_line(lambda: use(str(path)), "journal")


@pytest.mark.parametrize("score", ["00", [], ["x"], [float("inf")], [[]], [1, 2], [True]], ids=repr)
def test_a_score_that_is_no_number_is_one_line(tmp_path: Path, journal: bytes, score: object) -> None:
    lines = [json.loads(line) for line in journal.splitlines()]
    (told,) = (line for line in lines if "values" in line)
    told["values"] = score
    path = tmp_path / "t.journal"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BenchError) as caught:
        use(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_a_value_that_is_not_searched_is_one_line(tmp_path: Path) -> None:
    slots = join(str(tmp_path / "t.journal"))
    trial = slots.claim()
    assert trial is not None
    trial.suggest_float("nonsense", 0, 1)
    slots.study.tell(trial, 0.5)
    with pytest.raises(BenchError, match="trial 0 has 'nonsense', which is not searched"):
        use(str(tmp_path / "t.journal"))


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_in_place_of_a_journal_or_database_is_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "t.journal", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Bomb(marker)))
    for place in (str(path), f"sqlite:///{path}"):
        with pytest.raises(BenchError) as caught:
            use(place)
        assert len(str(caught.value).splitlines()) == 1
    assert not marker.exists()


@pytest.mark.parametrize(
    "poison",
    [
        "UPDATE trials SET state = 'NONSENSE'",
        "DROP TABLE trial_params",
        'UPDATE trial_params SET distribution_json = \'{"name": "os.system", "attributes": {}}\'',
    ],
)
def test_a_poisoned_database_is_one_line(tmp_path: Path, poison: str) -> None:
    place = f"sqlite:///{tmp_path / 't.db'}"
    trial = join(place).claim()
    assert trial is not None
    trial.suggest_float("lr", 0.1, 0.2)
    with sqlite3.connect(tmp_path / "t.db") as database:
        database.execute(poison)
    one_line(lambda: use(place), "database")  # optuna makes tables that are gone anew


def test_a_url_that_would_unpickle_snapshots_is_refused() -> None:
    """Optuna's Redis journal keeps pickled snapshots: only databases and journal files are opened."""
    with pytest.raises(BenchError, match="cannot use this database"):
        open_storage("redis://127.0.0.1:1/0", Path("unused"))
