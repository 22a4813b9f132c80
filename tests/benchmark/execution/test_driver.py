"""The driver against an executor whose workers die as the test says: what is given out, how often, in what order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from benchmark.display.many_cells import LiveCells, PlainCells
from benchmark.errors import BenchError
from benchmark.execution.driver import Spread, ready
from benchmark.execution.job import PATIENCE_S, Job, Relay, Told
from benchmark.execution.order import longest_first
from benchmark.store import io
from benchmark.store.locks import Lock
from benchmark.store.schema import Record
from benchmark.study.events import Silent, Started
from benchmark.study.plan import Request, Study, plan_study

SMALL = {"image_size": 64, "max_train_images": 8, "max_test_images": 1, "epochs": 1}


@pytest.fixture(scope="module")
def plan(shared_cache: Path) -> Study:
    request = Request(
        models=["unet", "ldnet"],
        datasets=["phantom-kvasir"],
        recipe="smoke",
        overrides=SMALL,
        seeds=[0, 1],
        cache_dir=shared_cache,
    )
    return plan_study(request)


@pytest.fixture
def study(plan: Study, tmp_path: Path) -> Study:
    from benchmark.store.layout import ResultsLayout

    return replace(plan, request=replace(plan.request, results=tmp_path), layout=ResultsLayout(tmp_path))


def record_of(study: Study, cell_id: str) -> Record:
    cell = next(cell for cell in study.cells if cell.id == cell_id)
    facts: dict[str, Any] = {"cell": cell.id, "model": cell.spec.name, "model_title": cell.spec.title}
    recipe = {"recipe_name": "smoke", "recipe": {}, "recipe_hash": cell.recipe.hash}
    return Record(
        **facts, **recipe, split=study.info, seed=cell.seed, status="ok", synthetic=True, engine="fast", created="now"
    )


class Scripted:
    """Tells for each job what the script says next; afterwards that it is finished."""

    def __init__(self, study: Study, script: dict[str, list[tuple[str, list[Any]]]], slots: int = 2) -> None:
        self.study, self.script, self.slots = study, script, slots
        self.given: list[Job] = []
        self.stopped = False
        self._out: list[Job] = []

    def free(self) -> int:
        return self.slots - len(self._out)

    def submit(self, jobs: Sequence[Job]) -> None:
        self.given += jobs
        self._out += jobs

    def listen(self, seconds: float) -> list[Told]:
        told = []
        for job in self._out:
            told.append({"cell": job.cell, "what": "cell_started", "args": ["elsewhere"]})
            said = self.script.get(job.cell) or []
            record = ("cell_finished", [record_of(self.study, job.cell).to_json(), False])
            what, args = ("stopped", []) if self.stopped else said.pop(0) if said else record
            told.append({"cell": job.cell, "what": what, "args": args})
        self._out = []
        return told

    def stop(self) -> None:
        self.stopped = True

    def kill(self) -> None:
        pass

    def close(self) -> None:
        pass


def spread_over(study: Study, console: Console | None = None) -> Spread:
    return Spread(study, PlainCells(console or Console(quiet=True)), lambda events: events)


def test_a_lost_cell_is_given_out_next_with_patience_and_all_end_once(study: Study) -> None:
    first = study.cells[0].id
    executor = Scripted(study, {first: [("lost", ["node 7 died"])]})
    spread = spread_over(study)
    spread.run(executor, study.cells)
    assert list(spread.records) and set(spread.records) == {cell.id for cell in study.cells}
    assert [job.cell for job in executor.given].count(first) == 2 and len(executor.given) == 5
    assert executor.given[2] == Job(first, PATIENCE_S)


def test_a_cell_is_shown_by_its_place_in_the_study(study: Study) -> None:
    class Seen(Silent):
        seen: ClassVar[list[tuple[str, int, int]]] = []

        def cell_started(self, cell: Started, number: int, total: int) -> None:
            self.seen.append((cell.id, number, total))

    ids = [cell.id for cell in study.cells]
    spread = Spread(study, Seen(), lambda events: events)
    spread.pass_over({ids[1]: record_of(study, ids[1])})
    spread.run(Scripted(study, {}), [study.cells[k] for k in (3, 0, 2)])
    assert Seen.seen == [(ids[k], k + 1, 4) for k in (1, 3, 0, 2)]


def test_a_cell_that_is_lost_again_and_again_ends_the_run(study: Study) -> None:
    first = study.cells[0].id
    executor = Scripted(study, {first: [("lost", ["out of memory"])] * 9})
    with pytest.raises(BenchError, match=r"given up after 4 workers were lost \(the last: out of memory\)"):
        spread_over(study).run(executor, study.cells)
    assert executor.stopped and [job.cell for job in executor.given].count(first) == 4


def test_a_worker_that_cannot_plan_the_study_ends_the_run(study: Study) -> None:
    executor = Scripted(study, {study.cells[1].id: [("refused", ["node7 has other images"])]})
    with pytest.raises(BenchError, match="node7 has other images"):
        spread_over(study).run(executor, study.cells)


def test_a_busy_cell_comes_again_when_its_holder_lets_go(study: Study) -> None:
    first = study.cells[0].id
    executor = Scripted(study, {first: [("busy", ["process 1"])]})
    with Lock(study.layout.lock(first)).attempt() as held:
        assert held
        spread = spread_over(study)
        spread._look_at_held()
        spread._held[first] = Lock(study.layout.lock(first))
        spread._looked = 0.0
        spread._look_at_held()
        assert not spread._queue, "it is still held"
    spread.run(executor, study.cells)
    assert set(spread.records) == {cell.id for cell in study.cells}


def test_the_longest_come_first(study: Study) -> None:
    assert [cell.spec.name for cell in longest_first(study, study.cells)] == ["ldnet", "ldnet", "unet", "unet"]
    assert [cell.seed for cell in longest_first(study, study.cells)] == [0, 1, 0, 1]


@pytest.mark.parametrize(("if_exists", "status", "stays"), [("overwrite", "ok", False), ("skip", "ok", True)])
def test_what_must_not_be_built_upon_is_put_away_once(study: Study, if_exists: Any, status: Any, stays: bool) -> None:
    paths = study.layout.cell(study.cells[0].id)
    io.write_record(paths, record_of(study, study.cells[0].id).model_copy(update={"status": status}))
    made, _ = ready(replace(study, request=replace(study.request, if_exists=if_exists)))
    assert made.request.if_exists == "resume" and paths.record.exists() == stays


def test_skip_starts_an_unfinished_cell_again(study: Study) -> None:
    paths = study.layout.cell(study.cells[0].id)
    io.write_record(paths, record_of(study, study.cells[0].id).model_copy(update={"status": "interrupted"}))
    io.write_bytes(paths.last, b"state")
    ready(replace(study, request=replace(study.request, if_exists="skip")))
    assert not paths.record.exists() and not paths.last.exists()


def test_every_cell_in_hand_has_a_bar_of_its_own(study: Study) -> None:
    crowd = LiveCells(Console(file=open("/dev/null", "w"), force_terminal=True))  # noqa: PTH123, SIM115
    bars = [crowd.of(cell) for cell in study.cells[:2]]
    for number, (bar, cell) in enumerate(zip(bars, study.cells, strict=False), start=1):
        bar.cell_started(cell, number, 4)
        bar.step(1, 1, 2, 0.5, 10.0)
    shown = [task.description for task in crowd.progress.tasks]
    assert shown[0] == "cells" and all(cell.id in text for cell, text in zip(study.cells, shown[1:], strict=False))
    crowd.gone(study.cells[0].id)
    assert len(crowd.progress.tasks) == 2


def test_the_first_step_is_told_at_once_and_further_ones_now_and_then() -> None:
    told: list[Told] = []
    relay = Relay("cell", told.append)
    relay._last = time.monotonic()  # something was told just now
    for step in range(1, 4):
        relay.step(1, step, 3, 0.5, 10.0)
    relay._last -= 2.0
    relay.step(2, 1, 3, 0.4, 10.0)
    assert [(one["what"], one["args"][:2]) for one in told] == [("step", [1, 1]), ("step", [2, 1])]
