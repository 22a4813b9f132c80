"""A command in progress: what it leaves on file and in MLflow when it ends well, badly or not by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.store import io
from benchmark.store.commands import read_commands
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record
from benchmark.tracking.command import tracked
from benchmark.tracking.mirror import Mirror, mirror_all

Make = Callable[..., Record]


def test_a_cell_is_mirrored_while_the_command_still_runs(store: ResultsLayout, make_record: Make) -> None:
    with tracked(store, "run", {"models": ["sanet"]}, track=True) as tracker:
        record = make_record("sanet", created="2026-01-03T03:04:05+00:00")
        io.write_record(store.cell(record.cell), record)
        tracker.record(record)
        mirror = Mirror(store)
        run = mirror.run_of(record.cell)
        assert run is not None and run.info.status == "FINISHED"
        assert mirror.client.get_run(run.data.tags["mlflow.parentRunId"]).info.status == "RUNNING"
        assert mirror.run_of("unet/quick-12345678/seed0") is not None, "a new mirror gets older cells too"
        tracker.files.append(store.tables / "table-kvasir.md")
    parent = mirror.client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.info.status == "FINISHED" and parent.data.params["models"] == "['sanet']"
    assert [file.path for file in mirror.client.list_artifacts(parent.info.run_id)] == ["tables"]
    assert mirror_all(store)[1].written == 0, "catching up finds nothing to do"


def test_ctrl_c_leaves_the_cell_in_hand_as_interrupted(store: ResultsLayout, make_record: Make) -> None:
    record = make_record("sanet", status="interrupted", error="stopped by the user", tests={})
    with pytest.raises(KeyboardInterrupt), tracked(store, "run", {}, track=True) as tracker:
        tracker.in_hand.add(record.cell)
        io.write_record(store.cell(record.cell), record)
        raise KeyboardInterrupt
    (command,) = [one for one in read_commands(store) if record.cell in one.cells]
    run = Mirror(store).run_of(record.cell)
    assert command.status == "interrupted" and run is not None and run.info.status == "KILLED"


def test_a_failed_cell_makes_a_failed_command(store: ResultsLayout, make_record: Make) -> None:
    with tracked(store, "run", {}, track=False) as tracker:
        tracker.record(make_record("sanet", status="failed", error="no"))
    assert read_commands(store)[-1].status == "failed" and not store.mlflow_db.exists()


def test_a_server_that_is_away_is_said_once(
    store: ResultsLayout, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said: list[str] = []
    with tracked(store, "run", {}, track=True, notice=said.append) as tracker:
        tracker.record(make_record("unet"))
        tracker.record(make_record("pranet"))
    assert len(said) == 1 and said[0].startswith("warning: MLflow was not updated")
    assert read_commands(store)[-1].status == "finished"
