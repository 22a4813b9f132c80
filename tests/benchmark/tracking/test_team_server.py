"""A team's server: a real `mlflow server` process, on sqlite and on a PostgreSQL cluster of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import free_port, postgres  # noqa: F401 (fixture)

from benchmark.cli.tracking import serve
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.tracking import connect
from benchmark.tracking.mirror import mirror_all
from benchmark.tracking.server import serving

UNET = "unet/quick-12345678/seed0"

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def team_server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`mlflow server` on a port of its own, with `MLFLOW_TRACKING_URI` set to it."""
    server = ResultsLayout(tmp_path / "server")
    server.root.mkdir()
    if request.param == "sqlite":
        connect.lay_database(server.root / "team.db")
        backend = f"sqlite:///{server.root}/team.db"
    else:
        backend = request.getfixturevalue("postgres")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", backend)
    with serving(server, host="127.0.0.1", port=free_port()) as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.url)
        yield running.url


def test_a_study_is_sent_kept_up_to_date_and_rebuilt(
    store: ResultsLayout, team_server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror, counts = mirror_all(store)
    assert (counts.written, counts.kept) == (2, 0) and not store.mlflow_db.exists()
    assert mirror_all(store)[1].written == 0
    run = mirror.run_of(UNET)
    assert run is not None and run.data.metrics["mDSC/Kvasir"] == 0.81 and run.data.params["recipe.lr"] == "0.001"
    history = mirror.client.get_metric_history(run.info.run_id, "train_loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.5), (2, 1.25)]
    assert {i.dataset.digest for i in run.inputs.dataset_inputs} == {"aa11", "bb22", "cc33", "dd44"}
    fetched = mirror.client.download_artifacts(run.info.run_id, "run.json", str(tmp_path))
    assert io.read_record(Path(fetched)) == io.read_record(store.cell(UNET).record)
    parent = mirror.client.get_run(run.data.tags["mlflow.parentRunId"])
    assert [file.path for file in mirror.client.list_artifacts(parent.info.run_id, "tables")] == [
        "tables/table-kvasir.md"
    ]
    assert serve(store.root, host="127.0.0.1", port=None, open_page=False, compare=["all"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{team_server}/#/compare-runs?runs=") and out.count("\n") == 1, "opened, not started"
    assert mirror_all(store, rebuild=True)[1].written == 2
    assert len(mirror.client.search_runs([mirror.experiment_id])) == 3
