"""A small results folder written by hand: two models on two test sets, and the command that made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.store import io
from benchmark.store.commands import Command, write_command
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import LeakKind, Record, SplitInfo, TestResult

CREATED = "2026-01-02T03:04:05+00:00"
MakeRecord = Callable[..., Record]

LEAKED: dict[LeakKind, list[str]] = {"exact": ["1"], "near": ["2", "3"], "sequence": ["4"]}


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    """No tracking server of whoever runs the tests; one empty database for all."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(shared_cache))


@pytest.fixture
def make_record() -> MakeRecord:
    """Build a record; keywords replace fields."""

    def build(model: str = "unet", seed: int = 0, **fields: object) -> Record:
        scores = {"pranet": {"mDSC": 0.81, "mIoU": 0.72}, "half": {"mDSC": 0.83, "mIoU": 0.75}}
        plain = {
            "cell": f"{model}/quick-12345678/seed{seed}",
            "model": model,
            "model_title": model.title(),
            "parts": ["isam", "fsam"],
            "parts_off": ["pretraining"],
            "recipe_name": "quick",
            "recipe": {"lr": 0.001, "scales": [1.0], "model_options": {"width": 8}},
            "recipe_hash": "abcdef01",
            "split": SplitInfo(
                name="paper", seed=0, num_train=70, num_val=10, fingerprint_train="aa11", fingerprint_val="bb22"
            ),
            "seed": seed,
            "status": "ok",
            "protocols": {"pranet": "11112222", "half": "33334444"},
            "tests": {
                "kvasir": TestResult(title="Kvasir", n=20, fingerprint="cc33", leaked=LEAKED, scores=scores),
                "phantom-etis": TestResult(
                    title="Phantom-ETIS (synthetic)", n=4, fingerprint="dd44", leaked={}, scores=scores
                ),
            },
            "environment": {"commit": "c0ffee", "dirty": False, "host": "box", "device_name": "a CPU"},
            "timing": {"train_s": 60.0, "predict_s": 1.0, "score_s": 2.0, "images_per_s": 3.0},
            "created": CREATED,
        }
        return Record.model_validate({**plain, **fields})

    return build


@pytest.fixture
def store(tmp_path: Path, make_record: MakeRecord) -> ResultsLayout:
    """The folder, with histories and a table."""
    layout = ResultsLayout(tmp_path / "study")
    command = Command(id="20260102T030405-run-abcd", name="run", asked={"models": ["all"]}, created=CREATED)
    for model in ("unet", "pranet"):
        record = make_record(model)
        put(layout, record)
        command = command.with_record(record)
    io.write_text(layout.tables / "table-kvasir.md", "| a table |\n")
    write_command(layout, command.end("finished", layout, [layout.tables / "table-kvasir.md"]))
    return layout


def put(layout: ResultsLayout, record: Record) -> None:
    paths = layout.cell(record.cell)
    io.write_record(paths, record)
    io.write_text(paths.history, "epoch,lr,train_loss,val_mdsc\n1,0.001,1.5,0.2\n2,0.0005,1.25,\n")
