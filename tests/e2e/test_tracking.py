"""`bench run --track` and `bench track`: what MLflow holds afterwards, and what a server that is away costs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from harness import Bench


def record_of(root: Path) -> dict:
    (file,) = (root / "results" / "runs").glob("*/*/*/run.json")
    return json.loads(file.read_text())


@pytest.mark.slow
def test_a_run_is_mirrored_as_it_goes_and_track_finds_nothing_to_add(tiny: Bench, bench: Bench, tmp_path: Path) -> None:
    tiny("--track", "--seeds", "0,1", "--log-checkpoints")
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/results/mlflow.db")
    (experiment,) = [one for one in client.search_experiments() if "bench.study" in one.tags]
    cells = client.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'cell'")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'command'")
    assert len(cells) == 2 and {run.info.status for run in (parent, *cells)} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in cells} == {parent.info.run_id}
    run = cells[0]
    record = json.loads((tmp_path / "results" / "runs" / run.data.tags["bench.cell"] / "run.json").read_text())
    scores = record["tests"]["phantom-kvasir"]["scores"]["pranet"]
    assert run.data.metrics["mDSC/ph-Kvasir"] == round(scores["mDSC"], 3)
    assert run.data.params["recipe.epochs"] == "2" and run.data.tags["bench.synthetic"] == "true"
    assert run.data.tags["bench.host"] == record["environment"]["host"] != ""
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2]
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names >= {"run.json", "history.csv", "scores.parquet", "checkpoint"}
    assert "tables/tables.csv" in {file.path for file in client.list_artifacts(parent.info.run_id, "tables")}

    facts = json.loads(bench("track", "--json").stdout)
    assert (facts["written"], facts["kept"]) == (0, 2)
    (tmp_path / "results" / "mlflow.db").unlink()
    done = bench("track", "--rebuild")
    assert done.stdout.startswith("2 runs written, 0 already up to date") and "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_unreachable_server_is_one_line_and_seconds(tiny: Bench, bench: Bench, tmp_path: Path) -> None:
    away = "http://127.0.0.1:9"
    done = tiny("--track", MLFLOW_TRACKING_URI=away)
    warnings = [line for line in done.stderr.splitlines() if "MLflow" in line]
    assert len(warnings) == 1 and warnings[0].startswith(
        f"warning: MLflow was not updated (no MLflow answers at {away}"
    )
    assert record_of(tmp_path)["status"] == "ok" and "bench track" in warnings[0]
    begun = time.monotonic()
    done = bench("track", code=2, MLFLOW_TRACKING_URI=away)
    assert time.monotonic() - begun < 60, "MLflow's own retries take minutes"
    assert done.stderr.startswith("error: no MLflow answers at") and done.stderr.count("\n") == 1
    assert bench("track").stdout.startswith("1 runs written")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--results", "nowhere"), "results folder nowhere: not found"),
        (("--register", "polyp"), "--register NAME and --run CELL go together"),
    ],
)
def test_a_mistake_is_one_line(bench: Bench, arguments: tuple[str, ...], says: str) -> None:
    done = bench("track", *arguments, code=2)
    assert says in done.stderr and done.stderr.count("\n") == 1
