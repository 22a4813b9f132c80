"""`bench onnx`: the file alone gives the maps that the network gives; one that does not is not kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from harness import Bench
from page_server import Home
from PIL import Image

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture
def cell(served_home: Home, tmp_path: Path) -> str:
    shutil.copytree(served_home.folder / "results", tmp_path / "results")
    return served_home.cells[0]


def test_the_file_alone_gives_the_map_of_bench_predict(
    bench: Bench, cell: str, tmp_path: Path, shared_cache: Path
) -> None:
    pictures = sorted((next(shared_cache.glob("phantom-v*")) / "phantom-kvasir" / "images").iterdir())[:3]
    named = ("--run", cell, "--model", "./tiny_net.py:build")
    images = [part for path in pictures for part in ("--images", str(path))]
    facts = json.loads(bench("onnx", *named, "--out", "a/net.onnx", "--batch", "2", *images, "--json").stdout)
    assert facts["images"] == 3 and facts["largest"] < 1e-4 and facts["levels"] <= 1
    assert facts["network_ms"] > 0 and facts["onnx_ms"] > 0 and facts["opset"] == 18
    session = onnxruntime.InferenceSession(str(tmp_path / "a" / "net.onnx"), providers=["CPUExecutionProvider"])
    (given,), said = session.get_inputs(), session.get_modelmeta().custom_metadata_map
    assert given.shape == [2, 3, 64, 64] and "not a medical device" in said["note"] and cell in said["model"]
    small = [
        np.asarray(Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)) for path in pictures
    ]
    (prob,) = session.run(None, {"image": np.stack(small[:2]).transpose(0, 3, 1, 2).astype(np.float32) / 255})
    bench("predict", *named, "--out", "seen", "--save", "probs", *map(str, pictures[:2]))
    for one, path in zip(prob[:, 0], pictures, strict=False):
        written = Image.open(tmp_path / "seen" / "probs" / f"{path.stem}.png")
        theirs = np.asarray(written.resize((64, 64), Image.Resampling.BOX)) / 255
        assert np.corrcoef(one.ravel(), theirs.ravel())[0, 1] > 0.98 and np.abs(one - theirs).mean() < 0.05


def test_a_file_that_differs_is_not_kept(bench: Bench, cell: str, tmp_path: Path) -> None:
    """A network that asks whether it is being exported gives another map to the file."""
    text = (tmp_path / "tiny_net.py").read_text()
    assert "self.body(image)" in text
    named = ("--run", cell, "--model", "./tiny_net.py:build", "--out", "net.onnx")
    bench("onnx", *named)
    first = (tmp_path / "net.onnx").read_bytes()
    record = next((tmp_path / "results").rglob(f"{Path(cell).parent.name}/{Path(cell).name}/run.json"))
    changed = json.loads(record.read_text())
    changed["environment"].pop("code", None)  # the text of the file is no longer that of the training
    record.write_text(json.dumps(changed))
    (tmp_path / "tiny_net.py").write_text(
        text.replace("self.body(image)", "self.body(image) + (1.0 if torch.compiler.is_exporting() else 0.0)")
    )
    done = bench("onnx", *named, code=2)
    assert "it was not kept" in done.stderr and done.stderr.count("\n") == 1
    assert (tmp_path / "net.onnx").read_bytes() == first and len(list(tmp_path.glob("*.onnx*"))) == 1


def test_mistakes_are_one_line(bench: Bench, cell: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        ((), "--run CELL"),
        (("--checkpoint", "x.pth"), "--checkpoint needs --model"),
        (("--run", cell, "--images", "empty"), "a folder without images"),
        (("--run", "nothing"), "nothing"),
    ):
        done = bench("onnx", *arguments, code=2)
        assert said in done.stderr and done.stderr.count("\n") == 1
