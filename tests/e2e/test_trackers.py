"""TensorBoard and Weights & Biases from the records: read back by their own packages, offline, each cell once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from harness import Bench
from page_server import Home


@pytest.fixture
def record(served_home: Home, tmp_path: Path) -> tuple[Path, dict]:
    """One of two cells: its folder and record."""
    shutil.copytree(served_home.folder / "results", tmp_path / "results")
    folder = tmp_path / "results" / "runs" / served_home.cells[0]
    return folder, json.loads((folder / "run.json").read_text())


def test_tensorboard_reads_history_and_scores(bench: Bench, record: tuple[Path, dict], tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert "2 runs written, 0 already" in bench("track", "--to", "tensorboard").stdout
    assert "0 runs written, 2 already" in bench("track", "--to", "tensorboard").stdout
    folder, facts = record
    (logs,) = (tmp_path / "results" / "tensorboard" / facts["cell"].replace("/", "__")).iterdir()
    events = reader.EventAccumulator(str(logs)).Reload()
    history = pd.read_csv(folder / "history.csv")
    found = [(one.step, pytest.approx(one.value, rel=1e-6)) for one in events.Scalars("train_loss")]
    assert list(zip(history["epoch"], history["train_loss"], strict=True)) == found
    (mdsc,) = [tag for tag in events.Tags()["scalars"] if "mDSC" in tag]
    stated = next(iter(facts["tests"].values()))["scores"]["pranet"]["mDSC"]
    assert events.Scalars(mdsc)[-1].value == pytest.approx(stated, rel=1e-6)
    assert "2 runs written" in bench("track", "--to", "tensorboard", "--rebuild").stdout


def test_wandb_keeps_runs_offline(bench: Bench, record: tuple[Path, dict], tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    done = bench("track", "--to", "wandb", WANDB_MODE="offline", HOME=str(tmp_path))
    assert "2 runs written" in done.stdout
    files = list((tmp_path / "results" / "wandb").glob("offline-run-*/run-*.wandb"))
    content = b"".join(path.read_bytes() for path in files)
    assert len(files) == 2 and b"train_loss" in content and b"mDSC" in content and b"optimizer" in content
    again = bench("track", "--to", "wandb", WANDB_MODE="offline", HOME=str(tmp_path))
    assert "0 runs written, 2 already" in again.stdout


def test_mistakes_are_one_line(bench: Bench, record: tuple[Path, dict]) -> None:
    done = bench("track", "--to", "tensorboard", "--log-checkpoints", code=2)
    assert "takes no checkpoints" in done.stderr and done.stderr.count("\n") == 1
    assert "'mlflow', 'tensorboard', 'wandb'" in bench("track", "--to", "tensorbord", code=2).stderr
