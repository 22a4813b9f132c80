"""The mirror: complete, once, and the same again from the store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.commands import read_commands, study_id
from benchmark.store.layout import ResultsLayout
from benchmark.store.robust_results import RobustResult, result_path
from benchmark.store.schema import Record, TestResult
from benchmark.tracking import connect
from benchmark.tracking.content import digest, files, metrics, params, robust_key, score_key
from benchmark.tracking.mirror import Mirror, mirror_all

MakeRecord = Callable[..., Record]
UNET = "unet/quick-12345678/seed0"


def content_of(mirror: Mirror) -> dict[str, Any]:
    """Everything that MLflow holds of a study, without its own ids."""
    runs = {run.data.tags["bench.key"]: run for run in mirror.client.search_runs([mirror.experiment_id])}
    keys = {run.info.run_id: key for key, run in runs.items()}
    return {
        key: {
            "params": run.data.params,
            "metrics": run.data.metrics,
            "tags": {k: keys.get(v, v) for k, v in run.data.tags.items() if k != "bench.digest"},
            "status": (run.info.status, run.info.start_time, run.info.end_time),
            "inputs": sorted((i.dataset.name, i.dataset.digest, i.tags[0].value) for i in run.inputs.dataset_inputs),
            "files": sorted(file.path for file in mirror.client.list_artifacts(run.info.run_id)),
            "losses": [
                (point.step, point.value) for point in mirror.client.get_metric_history(run.info.run_id, "train_loss")
            ],
        }
        for key, run in runs.items()
    }


def test_a_cell_becomes_a_nested_run_with_all_that_the_record_says(store: ResultsLayout) -> None:
    mirror, counts = mirror_all(store)
    assert (counts.written, counts.kept) == (2, 0)
    held = content_of(mirror)
    run = held[UNET]
    assert run["tags"]["mlflow.parentRunId"] == "20260102T030405-run-abcd"
    assert (
        run["params"]
        | {
            "model": "unet",
            "seed": "0",
            "split": "paper",
            "recipe.lr": "0.001",
            "recipe.scales": "[1.0]",
            "recipe.model_options.width": "8",
            "protocol.pranet": "11112222",
            "ablation": "none",
            "parts": "isam,fsam",
            "parts_off": "pretraining",
        }
        == run["params"]
    )
    assert run["metrics"]["mDSC/Kvasir"] == 0.81 and run["metrics"]["half/mIoU/Kvasir"] == 0.75
    assert run["metrics"]["mDSC/ph-ETIS"] == 0.81, "the word 'synthetic' is a tag, not a part of the key"
    assert run["losses"] == [(1, 1.5), (2, 1.25)]
    assert run["inputs"] == [
        ("kvasir", "cc33", "test"),
        ("paper/train", "aa11", "training"),
        ("paper/val", "bb22", "validation"),
        ("phantom-etis", "dd44", "test"),
    ]
    assert (
        run["tags"]
        | {
            "bench.commit": "c0ffee",
            "bench.dirty": "false",
            "bench.host": "box",
            "bench.device": "a CPU",
            "bench.status": "ok",
            "bench.synthetic": "false",
            "bench.num_leaked": "4",
            "bench.num_leaked_exact": "1",
            "bench.num_leaked_near": "2",
            "bench.num_leaked_sequence": "1",
        }
        == run["tags"]
    )
    assert run["status"] == ("FINISHED", 1767323045000, 1767323045000 + 63_000)
    assert run["files"] == ["history.csv", "run.json"]
    parent = held["20260102T030405-run-abcd"]
    assert parent["params"] == {"command": "run", "models": "['all']"} and parent["files"] == ["tables"]


def test_a_link_in_a_strangers_cell_takes_no_other_file_along(store: ResultsLayout, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of this machine")
    paths, record = store.cell(UNET), io.read_record(store.cell(UNET).record)
    assert (paths.history, None) in files(store, record)
    paths.history.unlink()
    paths.history.symlink_to(tmp_path / "secret")
    paths.all_worst.mkdir(exist_ok=True)
    (paths.all_worst / "kvasir.png").symlink_to(tmp_path / "secret")
    sent = [path for path, _ in files(store, record)]
    assert paths.record in sent and not [path for path in sent if path.is_symlink()]


def test_mirroring_twice_leaves_one_run_each(store: ResultsLayout) -> None:
    first, _ = mirror_all(store)
    before = content_of(first)
    second, counts = mirror_all(store)
    assert (counts.written, counts.kept) == (0, 2)
    assert len(second.client.search_runs([second.experiment_id])) == 3 and content_of(second) == before


def test_a_record_that_changed_replaces_its_run(store: ResultsLayout, make_record: MakeRecord) -> None:
    mirror, _ = mirror_all(store)
    changed = make_record("unet", status="failed", error="no space", tests={}, missing={"etis": "no file", "mine": "x"})
    io.write_record(store.cell(UNET), changed)
    mirror, counts = mirror_all(store)
    assert (counts.written, counts.kept) == (1, 1)
    run = content_of(mirror)[UNET]
    assert run["status"][0] == "FAILED" and run["tags"]["bench.error"] == "no space"
    assert run["tags"]["bench.missing"] == "etis: no file; mine: x" and "mDSC/Kvasir" not in run["metrics"]
    assert len(mirror.client.search_runs([mirror.experiment_id])) == 3
    assert len(list(store.mlflow_artifacts.iterdir())) == 3, "the replaced run's files are gone"


def test_a_run_that_was_cut_off_is_written_again(store: ResultsLayout) -> None:
    mirror, _ = mirror_all(store)
    whole = content_of(mirror)
    run = mirror.run_of(UNET)
    assert run is not None
    mirror.client.delete_tag(run.info.run_id, "bench.digest")
    mirror, counts = mirror_all(store)
    assert counts.written == 1 and content_of(mirror) == whole


@pytest.mark.parametrize("lost", [("mlflow.db",), ("mlflow.db", "mlartifacts"), ()])
def test_rebuild_brings_everything_back(store: ResultsLayout, tmp_path: Path, lost: tuple[str, ...]) -> None:
    mirror, _ = mirror_all(store)
    before = content_of(mirror)
    if lost:  # in a copy: MLflow keeps a database open for as long as a process lives
        store = ResultsLayout(Path(shutil.copytree(store.root, tmp_path / "copy", ignore=lambda *_: lost)))
    mirror, counts = mirror_all(store, rebuild=True)
    assert counts.written == 2 and content_of(mirror) == before
    assert len(list(store.mlflow_artifacts.iterdir())) == 3


def test_a_folder_that_moved_takes_its_mirror_along(store: ResultsLayout, tmp_path: Path) -> None:
    mirror, _ = mirror_all(store)
    before, name = content_of(mirror), study_id(store)
    moved = ResultsLayout(store.root.rename(tmp_path / "elsewhere"))
    mirror, _ = mirror_all(moved)
    assert content_of(mirror) == before and study_id(moved) == name
    run = mirror.run_of(UNET)
    assert run is not None and str(tmp_path / "elsewhere") in run.info.artifact_uri


def test_checkpoints_are_kept_when_asked_for_even_afterwards(store: ResultsLayout) -> None:
    store.cell(UNET).best.write_bytes(b"weights")
    mirror_all(store)
    mirror, counts = mirror_all(store, checkpoints=True)
    run = mirror.run_of(UNET)
    assert counts.written == 0 and run is not None
    (file,) = mirror.client.list_artifacts(run.info.run_id, "checkpoint")
    assert file.path == "checkpoint/best.pt"


def test_a_cell_belongs_to_the_command_that_made_it_not_to_one_that_kept_it(store: ResultsLayout) -> None:
    (first,) = read_commands(store)
    later = first.model_copy(update={"id": "20260103T030405-run-beef", "created": "2026-01-03T03:04:05+00:00"})
    io.write_json(store.command(later.id), later.model_dump(mode="json", by_alias=True))
    mirror, _ = mirror_all(store)
    assert content_of(mirror)[UNET]["tags"]["mlflow.parentRunId"] == first.id


def test_two_studies_on_one_server_do_not_touch_each_other(
    store: ResultsLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect.lay_database(tmp_path / "team.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/team.db")
    monkeypatch.chdir(tmp_path)
    mirror, _ = mirror_all(store)
    other = ResultsLayout(Path(shutil.copytree(store.root, tmp_path / "other")))
    other.study.unlink()
    second, counts = mirror_all(other, rebuild=True)
    assert counts.written == 2 and second.experiment_id != mirror.experiment_id
    assert mirror_all(store)[1].written == 0
    assert not store.mlflow_db.exists()


def test_the_page_is_preset_to_cells_and_their_figures(store: ResultsLayout) -> None:
    mirror, _ = mirror_all(store)
    tags = mirror.client.get_experiment(mirror.experiment_id).tags
    view = json.loads(tags["mlflow.sharedViewState.bench"])
    assert view["searchFilter"] == "tags.`bench.kind` = 'cell'"
    assert [column for column in view["selectedColumns"] if column.startswith("metrics")] == [
        "metrics.`mDSC/Kvasir`",
        "metrics.`mIoU/Kvasir`",
        "metrics.`mDSC/ph-ETIS`",
        "metrics.`mIoU/ph-ETIS`",
    ]


def test_columns_are_short_and_scores_have_three_decimals(store: ResultsLayout, make_record: MakeRecord) -> None:
    """MLflow's columns show twelve characters: figure and set must be told apart by them."""
    one = make_record().tests["kvasir"]
    names = ("CVC-ClinicDB", "CVC-ColonDB", "CVC-300", "ETIS", "Kvasir", "CVC-EndoScene")
    titles = [*names, *(f"Phantom-{name.removeprefix('CVC-')} (synthetic)" for name in names)]
    keys = [score_key(one.model_copy(update={"title": t}), figure) for t in titles for figure in ("mDSC", "mIoU")]
    assert len({key[:12] for key in keys}) == len(keys) and "mDSC/ph-Clinic" in keys and "mIoU/Kvasir" in keys
    tests = {"kvasir": one.model_copy(update={"scores": {"pranet": {"mDSC": 0.81249, "MAE": 0.03151}}})}
    found = {metric.key: metric.value for metric in metrics(store, make_record(tests=tests))}
    assert (found["mDSC/Kvasir"], found["MAE/Kvasir"]) == (0.812, 0.032)


def test_runs_share_their_parameters_so_that_none_reads_unknown(make_record: MakeRecord) -> None:
    """MLflow's comparison writes "unknown" at an axis where a run lacks what another has."""
    plain, parted = make_record(parts=[]), make_record("bsanet", parts=["isam"], parts_off=["fsam"], ablation=["fsam"])
    assert set(params(plain)) == set(params(parted))
    assert (params(plain)["parts"], params(parted)["parts"], params(parted)["parts_off"]) == ("none", "isam", "fsam")


def test_a_digest_counts_what_was_recorded_not_what_a_newer_version_could_record(make_record: MakeRecord) -> None:
    plain, spelt_out = make_record(), make_record(origin=None, missing={})
    assert digest(plain, "p") == digest(spelt_out, "p") != digest(plain, "q")
    assert digest(plain, "p") != digest(make_record(origin="PraNet"), "p")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql://me:secret@127.0.0.1:9/mlflow"])
def test_a_server_that_is_away_is_told_in_one_line(
    store: ResultsLayout, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(BenchError, match=r"no MLflow answers at .*127\.0\.0\.1:9") as caught:
        mirror_all(store)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_results_on_corrupted_images_are_metrics_and_bring_the_run_up_to_date(
    store: ResultsLayout, make_record: MakeRecord
) -> None:
    record = next(r for r in io.read_records(store.root) if r.cell == UNET)
    record = record.model_copy(update={"best_sha256": "ab" * 32})
    io.write_record(store.cell(UNET), record)
    mirror, _ = mirror_all(store)
    paths = store.cell(UNET)
    for corruption, severity, denoise, score, weights in (
        ("jpeg", 1, "none", 0.8, record.best_sha256), ("jpeg", 5, "none", 0.4, record.best_sha256),
        ("contrast", 1, "none", 0.7, record.best_sha256), ("contrast", 5, "none", 0.5, record.best_sha256),
        ("jpeg", 1, "nlm", 0.75, record.best_sha256), ("jpeg", 2, "none", 0.1, "weights of yesterday"),
    ):  # fmt: skip
        result = RobustResult(
            cell=UNET, best_sha256=str(weights), dataset="kvasir", corruption=corruption, corruption_hash="0",
            severity=severity, denoise=denoise, denoise_hash="0", engine="fast", protocols={}, created=record.created,
            test=record.tests["kvasir"].model_copy(update={"scores": {"pranet": {"mDSC": score}}}),
        )  # fmt: skip
        path = result_path(paths, "kvasir", corruption, severity, denoise)
        io.write_json(path, result.model_dump(mode="json", by_alias=True))
    _, counts = mirror_all(store)
    assert (counts.written, counts.kept) == (1, 1)
    found = content_of(mirror)[UNET]["metrics"]
    assert {key: value for key, value in found.items() if key.startswith("robust")} == pytest.approx(
        {
            "robust jpeg/Kvasir": 0.6, "robust contrast/Kvasir": 0.6, "robust all/Kvasir": 0.6,
            "robust jpeg behind nlm/Kvasir": 0.75, "robust all behind nlm/Kvasir": 0.75,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("Kvasir", "Kvasir"),
        ("CVC-ClinicDB", "Clinic"),
        ("CVC-300", "CVC-300"),
        ("Phantom-ColonDB (synthetic)", "ph-Colon"),
        ("ETIS", "ETIS"),
    ],
)
def test_columns_name_test_sets_shortly(title: str, short: str) -> None:
    test = TestResult(title=title, n=1, fingerprint="0", scores={})
    assert robust_key(test, "jpeg", "none") == f"robust jpeg/{short}"
    assert robust_key(test, "jpeg", "nlm") == f"robust jpeg behind nlm/{short}"
