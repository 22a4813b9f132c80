"""A network from the user's files in MLflow's registry: another process gets it back without those files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import NET, TINY, Bench

from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.models.registry import get_spec
from benchmark.prediction.network import network_of_run
from benchmark.recipes.read import validate_recipe
from benchmark.store import io
from benchmark.tracking.file_models import packed

MODEL = "./mine/net.py:build"
LOAD = """
import sys, numpy as np, torch, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pytorch.load_model("models:/own/1").eval()
with torch.inference_mode():
    np.save("found.npy", model(torch.from_numpy(np.load("images.npy"))).numpy())
"""
CHANCE = """
_build = build

def build():
    net = _build()
    net.register_forward_hook(lambda module, images, maps: (maps[0] + len(__file__),))
    return net
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, run_bench: Callable[..., Any], shared_cache: Path) -> Path:
    """A finished cell of a network in a package, which imports a neighbour relatively and one below by name."""
    folder = tmp_path_factory.mktemp("registered")
    (folder / "mine" / "deep").mkdir(parents=True)
    for name in ("mine", "mine/deep"):
        (folder / name / "__init__.py").write_text("")
    (folder / "mine" / "deep" / "blocks.py").write_text(NET)
    (folder / "mine" / "between.py").write_text("from mine.deep.blocks import TinyNet\n")
    (folder / "mine" / "net.py").write_text("from .between import TinyNet\n\ndef build():\n    return TinyNet()\n")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    command = ["run", "--models", MODEL, "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY]
    done = run_bench(
        [*command, "--no-track", "--no-time-first"], cwd=folder, env={**kept, "BENCH_CACHE_DIR": str(shared_cache)}
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_another_process_gets_the_same_maps_without_the_files(
    home: Path, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = str(home / "results")
    (cell,) = (record.cell for record in io.read_records(home / "results"))
    there = f"{home}/{MODEL.removeprefix('./')}"
    track = ("track", "--results", results, "--register", "own", "--run", cell)
    for arguments, words in (
        ((), "name it with --model FILE.py:function"),
        (("--model", "./tiny_net.py:build"), "not the file that"),
    ):
        done = bench(*track, *arguments, code=2)
        assert words in done.stderr and done.stderr.count("\n") == 1
    assert "goes with --register" in bench("track", "--results", results, "--model", there, code=2).stderr
    assert "registered models:/own/1" in bench(*track, "--model", there).stdout
    images = np.random.default_rng(1).normal(size=(2, 3, 96, 64)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    monkeypatch.chdir(home)
    network = network_of_run(cell, results=Path(results), model=MODEL, device="cpu").model
    with torch.inference_mode():
        expected = network(torch.from_numpy(images))[0].numpy()
    (home / "mine").rename(home / "gone")
    try:
        load = [sys.executable, "-c", LOAD, f"sqlite:///{results}/mlflow.db"]
        done = subprocess.run(load, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    finally:
        (home / "gone").rename(home / "mine")
    found = np.load(tmp_path / "found.npy")
    assert found.shape == (2, 1, 96, 64) and np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"net.py": "from elsewhere import TinyNet\n\ndef build():\n    return TinyNet()\n"}, "imports elsewhere from"),
        (
            {"net.py": f"import pathlib\npathlib.Path(__file__).with_name('sizes.txt').read_text()\n{NET}"},
            "its copy does not build the network",
        ),
        ({"net.py": NET + CHANCE}, "its copy builds another network"),
    ],
)
def test_a_file_that_cannot_travel_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], words: str
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "elsewhere.py").write_text(NET)
    (tmp_path / "sizes.txt").write_text("8")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(other))
    (record,) = io.read_records(home / "results")
    spec = get_spec(f"{tmp_path}/net.py:build")
    network = build_network(spec, validate_recipe(record.recipe, where=""), pretrained=False).eval()
    with pytest.raises(BenchError, match=words) as caught, packed(network, spec, record):
        pass
    assert str(tmp_path) not in str(caught.value)
