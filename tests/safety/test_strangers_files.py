"""A file from a stranger can at worst be refused: it runs nothing, reads and writes nothing outside, hangs nothing."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.splits.files import load_split
from benchmark.errors import BenchError
from benchmark.models.registry import get_spec
from benchmark.prediction.network import network_of_run
from benchmark.store import io
from benchmark.store.checkpoint import DamagedCheckpointError, load_weights
from benchmark.store.commands import read_commands, study_id
from benchmark.store.layout import ResultsLayout
from benchmark.store.locks import Lock, where
from benchmark.store.schema import Record
from benchmark.tracking.models import load_network

OUTSIDE = ["../../outside", "/etc", "a/../../b", "..", "", "a//b", "a\\..\\b", "x" * 300, "a\0b"]
TERMINAL = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def record(**changes: Any) -> dict[str, Any]:
    split = {"name": "paper", "seed": 0, "num_train": 1, "num_val": 1, "fingerprint_train": "", "fingerprint_val": ""}
    test = {"title": "Kvasir", "n": 1, "fingerprint": "f", "num_leaked": 0, "scores": {"pranet": {"mDSC": 0.5}}}
    base = {"schema": 1, "cell": "unet/q-00000000/seed0", "model": "unet", "model_title": "U-Net", "recipe": {}}
    base |= {"recipe_name": "q", "recipe_hash": "00000000", "seed": 0, "status": "ok", "best_epoch": 1}
    return {**base, "split": split, "tests": {"kvasir": test}, "created": "2026-01-01T00:00:00+00:00", **changes}


def put(root: Path, **changes: Any) -> Path:
    """Write a record that no harness of ours would write."""
    path = root / "runs" / "unet" / "q-00000000" / "seed0" / "run.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record(**changes)), encoding="utf-8")
    return path


def refused(call: Callable[[], object], *words: str) -> str:
    with pytest.raises(BenchError) as caught:
        call()
    text = str(caught.value)
    assert len(text.splitlines()) == 1 and text.isprintable(), repr(text)
    for word in words:
        assert word in text, text
    return text


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_record_cannot_point_outside_its_folder(tmp_path: Path, name: str) -> None:
    test = record()["tests"]["kvasir"]
    for changes in ({"cell": name}, {"tests": {name: test}}):
        put(tmp_path, **changes)
        refused(lambda: io.read_records(tmp_path), "run.json")


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_a_results_folder(tmp_path: Path, name: str) -> None:
    layout = ResultsLayout(tmp_path / "results")
    paths = layout.cell("unet/q-0/seed0")
    for call in (paths.maps, paths.worst, lambda n: paths.map("kvasir", n), layout.command, layout.cell):
        try:
            found = call(name)
        except BenchError:
            continue
        path = found if isinstance(found, Path) else found.folder
        assert path.resolve().is_relative_to(layout.root.resolve())


def test_a_record_cannot_name_a_file_to_be_run(tmp_path: Path) -> None:
    marker, code = tmp_path / "ran", tmp_path / "evil.py"
    code.write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\ndef build():\n    return None\n")
    for model in (f"{code}:build", f"{code}", f"file:{code}:build"):
        path = put(tmp_path, model=model, best_sha256="0" * 64)
        (path.parent / "best.pt").write_bytes(b"x")
        refused(lambda: network_of_run("unet/q-00000000/seed0", results=tmp_path, model=None, device="cpu"))
        refused(lambda: load_network(ResultsLayout(tmp_path), io.read_records(tmp_path)[0]))
    assert get_spec(f"{code}:build").path is not None, "what the user types is run"
    assert not marker.exists()


def test_texts_of_a_record_cannot_command_a_terminal(tmp_path: Path) -> None:
    put(tmp_path, model_title=f"U{TERMINAL}Net", error=f"{TERMINAL}\nsecond line", missing={TERMINAL: TERMINAL})
    (found,) = io.read_records(tmp_path)
    for text in (found.model_title, str(found.error).replace("\n", ""), *found.missing, *found.missing.values()):
        assert text.isprintable() and "\\x1b]0;owned" in text


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000, '"\\ud800', "\xff", "", "null", "[]", "3", '"x"', "NaN", "{}"],
    ids=lambda text: text[:6],
)
def test_texts_that_are_no_record_command_or_study_are_one_line(tmp_path: Path, text: str) -> None:
    layout = ResultsLayout(tmp_path)
    path = put(tmp_path)
    layout.commands.mkdir()
    for file, read in (
        (path, lambda: io.read_records(tmp_path)),
        (layout.commands / "x.json", lambda: read_commands(layout)),
        (layout.study, lambda: study_id(layout)),
        (tmp_path / "split.json", lambda: load_split(tmp_path / "split.json")),
    ):
        file.write_bytes(text.encode("latin-1"))
        refused(read, file.name)


def test_a_device_in_place_of_a_record_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path)
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(lambda: io.read_records(tmp_path), "not a regular file")


@pytest.mark.parametrize("name", ["/etc/passwd", "../../secret", "tables/../../secret"])
def test_a_command_cannot_name_files_to_be_sent_to_a_server(tmp_path: Path, name: str) -> None:
    layout = ResultsLayout(tmp_path)
    layout.commands.mkdir()
    command = {"schema": 1, "id": "x", "name": "run", "files": [name], "created": "2026-01-01T00:00:00+00:00"}
    (layout.commands / "x.json").write_text(json.dumps(command))
    refused(lambda: read_commands(layout), "x.json", "outside")


@pytest.mark.parametrize("id_", ["x' OR 1=1 --", "../..", "", 3, None, "a" * 100])
def test_a_study_id_is_a_plain_word(tmp_path: Path, id_: object) -> None:
    layout = ResultsLayout(tmp_path)
    layout.study.write_text(json.dumps({"id": id_}))
    refused(lambda: study_id(layout), "study.json")


@pytest.mark.parametrize(
    "facts",
    [{"pid": 10**30}, {"pid": -1}, {"pid": 0}, {"pid": "1"}, {"pid": None}, {"pid": True}, {}],
    ids=repr,
)
def test_a_strangers_lock_file_holds_nothing_for_ever(tmp_path: Path, facts: dict[str, Any]) -> None:
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock" / "1").write_text(json.dumps({"where": where(), **facts}))
    (tmp_path / "lock" / "²").touch()
    with Lock(tmp_path / "lock").attempt() as held:
        assert held


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a/b", "", ".hidden"])
def test_a_split_file_cannot_name_folders_elsewhere(tmp_path: Path, name: str) -> None:
    row = [["kvasir", "1", "h"]]
    for tests in ({name: row}, {"kvasir": [[name, "1", "h"]]}):
        split = {"schema": 1, "name": "x", "seed": 0, "train": row, "val": [], "tests": tests}
        (tmp_path / "s.json").write_text(json.dumps({**split, "missing": {}, "partial": {}}))
        refused(lambda: load_split(tmp_path / "s.json"), "s.json", "no split file")


def test_a_checkpoint_that_holds_itself_does_not_hang(tmp_path: Path) -> None:
    from baselines.weights import read_state_dict

    circle: dict[str, Any] = {}
    circle["state_dict"] = circle
    torch.save(circle, tmp_path / "circle.pt")
    with pytest.raises(ValueError, match=r"circle\.pt"):
        read_state_dict(tmp_path / "circle.pt")


def test_a_checkpoint_of_compressed_zeros_is_not_inflated(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(20_000_000, dtype=torch.uint8)}, tmp_path / "plain.pt")
    bomb = tmp_path / "best.pt"
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for info in plain.infolist():
            packed.writestr(info.filename, plain.read(info))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(DamagedCheckpointError, match="compressed"):
        load_weights(bomb, None)


def test_an_unreadable_checkpoint_without_a_message_is_one_line(tmp_path: Path) -> None:
    for content in (b"", pickle.dumps(1), b"PK", b"\x80\x02"):
        (tmp_path / "best.pt").write_bytes(content)
        refused(lambda: load_weights(tmp_path / "best.pt", None), "best.pt")


def test_arrays_that_inflate_to_gigabytes_are_refused_unread(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "curves.npz", a=np.zeros(600_000_000, np.uint8))
    assert (tmp_path / "curves.npz").stat().st_size < 1_000_000
    refused(lambda: io.read_npz(tmp_path / "curves.npz"), "curves.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x93NUMPY\x01\x00", b"text"])
def test_broken_arrays_and_rows_are_one_line(tmp_path: Path, content: bytes) -> None:
    for name, read in (("curves.npz", io.read_npz), ("scores.parquet", io.read_scores)):
        (tmp_path / name).write_bytes(content)
        if content[:4] != b"PK\x05\x06" or name != "curves.npz":  # an archive without arrays is whole
            refused(lambda read=read, name=name: read(tmp_path / name), name)


def test_rows_without_number_are_refused_unread(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.table({"id": pa.array(["x"] * 20_000_000).dictionary_encode()})
    pq.write_table(rows, tmp_path / "scores.parquet", compression="zstd")
    assert (tmp_path / "scores.parquet").stat().st_size < 1_000_000
    refused(lambda: io.read_scores(tmp_path / "scores.parquet"), "20000000 rows")


def test_ids_of_score_rows_cannot_command_a_terminal_or_lead_elsewhere(tmp_path: Path) -> None:
    import pandas as pd

    for name in (f"a{TERMINAL}", "../../x"):
        pd.DataFrame({"id": [name], "dataset": ["kvasir"]}).to_parquet(tmp_path / "scores.parquet")
        refused(lambda: io.read_scores(tmp_path / "scores.parquet"), "scores.parquet")


def test_a_record_holds_what_it_held(tmp_path: Path) -> None:
    put(tmp_path)
    assert io.read_records(tmp_path) == [Record.model_validate(record())]
