"""`bench profile`: figures that can be checked, kept beside older ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from harness import Bench


def test_figures_are_those_of_the_network(bench: Bench, tmp_path: Path) -> None:
    call = ("profile", "--models", "./tiny_net.py", "--repeats", "3", "--json")
    rows = json.loads(bench(*call, "--batches", "1,2", "--size", "64", BENCH_TEST_START="exec").stdout)
    macs = 32 * 32 * 8 * 27 + 16 * 16 * 16 * 72 + 16 * 16 * 16
    assert [row["batch"] for row in rows] == [1, 2]
    for row in rows:
        assert row["gmacs"] == round(macs / 1e9, 4) and row["num_params"] == 224 + 16 + 1168 + 32 + 17
        assert 0 < row["latency_ms"] <= row["latency_p95_ms"] and row["peak_memory_mb"] > 50 and row["device_name"]
    bench(*call, "--batches", "2", "--size", "64")
    bench(*call, "--batches", "1", "--size", "96")
    with (tmp_path / "results" / "profile.csv").open() as file:
        assert [(r["size_px"], r["batch"]) for r in csv.DictReader(file)] == [
            ("64", "1"),
            ("64", "2"),
            ("96", "1"),
        ]


def test_a_size_that_a_model_refuses_is_one_line(bench: Bench) -> None:
    done = bench("profile", "--models", "bsanet", "--size", "250", "--batches", "1", code=2)
    assert "250" in done.stderr and "256" in done.stderr and "Traceback" not in done.stderr


def test_an_onnx_file_is_timed_as_the_network_is(bench: Bench, tmp_path: Path) -> None:
    """A network that gives its export another map has no time there, and a reason."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    text = (tmp_path / "tiny_net.py").read_text()
    false = "self.body(image) + (1.0 if torch.compiler.is_exporting() else 0.0)"
    (tmp_path / "false_net.py").write_text(text.replace("self.body(image)", false))
    call = ("profile", "--models", "./tiny_net.py,./false_net.py", "--batches", "2", "--repeats", "3", "--size", "64")
    done = bench(*call, "--onnx")
    head, sound, wrong = (line.split("\t") for line in done.stdout.splitlines())
    median, high = (head.index(name) for name in ("onnx_ms", "onnx_p95_ms"))
    assert 0 < float(sound[median]) <= float(sound[high]) and wrong[median] == wrong[high] == ""
    assert "no ONNX time: false_net: probabilities of its ONNX file differ by" in done.stderr
    assert "onnxruntime 1." in done.stderr
    with (tmp_path / "results" / "profile.csv").open() as file:
        kept = {row["model"]: row["onnx_ms"] for row in csv.DictReader(file)}
    assert float(kept["file:tiny_net:build"]) == float(sound[median]) and kept["file:false_net:build"] == ""
    assert "on the CPU only" in bench(*call, "--onnx", "--device", "cuda", code=2).stderr
