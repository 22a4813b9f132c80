"""The store: a file is whole or not there; a record reads back as it was; faults are one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import ResultsLayout, cell_id
from benchmark.store.schema import Record, SplitInfo


def make_record(**changes: object) -> Record:
    split = SplitInfo(name="paper", seed=0, num_train=7, num_val=1, fingerprint_train="a", fingerprint_val="b")
    base = {
        "cell": "unet/smoke-00000000/seed0",
        "model": "unet",
        "model_title": "U-Net",
        "recipe_name": "smoke",
        "recipe": {},
        "recipe_hash": "00000000",
        "split": split,
        "seed": 0,
        "status": "ok",
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Record(**{**base, **changes})


def test_record_reads_back_as_written(tmp_path: Path) -> None:
    record = make_record(val={"val_mdsc": 0.5}, timing={"train_s": 1.0})
    layout = ResultsLayout(tmp_path)
    io.write_record(layout.cell(record.cell), record)
    assert io.read_records(tmp_path) == [record]


def test_older_records_list_parts_that_were_left_out_or_not_loaded() -> None:
    declared = ["isam", "fsam", "pretraining"]
    old = make_record(parts=declared, ablation=["fsam"], pretrained={"used": False})
    assert (old.parts, old.parts_off) == (["isam"], ["fsam", "pretraining"])
    loaded = make_record(parts=declared, pretrained={"used": True, "name": "swin"})
    assert (loaded.parts, loaded.parts_off) == (declared, [])
    assert make_record(parts=declared).parts == declared, "a model that does not tell"
    assert Record.model_validate(old.to_json()) == old


def test_nan_is_absent_never_written(tmp_path: Path) -> None:
    record = make_record(val={"val_mdsc": float("nan"), "val_dice_half": 0.25})
    paths = ResultsLayout(tmp_path).cell(record.cell)
    io.write_record(paths, record)
    assert json.loads(paths.record.read_text())["val"] == {"val_dice_half": 0.25}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', '{"schema": 1, "cell": 3}', '{"schema": 1}'])
def test_a_foreign_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "runs" / "x" / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(BenchError) as caught:
        io.read_records(tmp_path)
    assert "run.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    io.write_text(file, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmark.runtime.atomic.os.fsync", full)
    with pytest.raises(BenchError, match="no space left"):
        io.write_text(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot write"):
        io.write_text(tmp_path / "file" / "run.json", "x")


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(BenchError, match="unreadable curves"):
        io.read_npz(tmp_path / "c.npz")


def test_columns_are_those_of_the_file_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rows = tmp_path / "scores.parquet", pd.DataFrame({"id": ["a"], "dice": [0.5]})
    io.write_parquet(path, rows)
    assert io.score_columns(path) == {"id", "dice"}
    io.write_parquet(path, rows.assign(hd95_px=3.0))
    assert io.score_columns(path) == {"id", "dice", "hd95_px"}
    with monkeypatch.context() as patch:
        patch.setattr(io, "_opened", None)
        assert io.score_columns(path) == {"id", "dice", "hd95_px"}, "the header is not read again"
    path.unlink()
    with pytest.raises(BenchError, match=r"scores\.parquet: unreadable score rows"):
        io.score_columns(path)


def test_missing_results_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="bench run"):
        io.read_records(tmp_path / "nothing")


def test_cell_id_is_safe_and_names_everything() -> None:
    name = cell_id("smp:unet:a/b", ablation=("isam", "fsam"), recipe="smoke", config="01234567", seed=3)
    assert name == "smp_unet_a_b-no-isam-no-fsam/smoke-01234567/seed3"
