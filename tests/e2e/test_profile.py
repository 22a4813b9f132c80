"""`bench profile`: figures that can be checked, kept beside older ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from harness import Bench


def test_figures_are_those_of_the_network(bench: Bench, tmp_path: Path) -> None:
    call = ("profile", "--models", "./tiny_net.py", "--batches", "1,2", "--repeats", "3", "--json")
    rows = json.loads(bench(*call, "--size", "64").stdout)
    macs = 32 * 32 * 8 * 27 + 16 * 16 * 16 * 72 + 16 * 16 * 16
    assert [row["batch"] for row in rows] == [1, 2]
    for row in rows:
        assert row["gmacs"] == round(macs / 1e9, 4) and row["num_params"] == 224 + 16 + 1168 + 32 + 17
        assert 0 < row["latency_ms"] <= row["latency_p95_ms"] and row["peak_memory_mb"] > 50 and row["device_name"]
    bench(*call, "--size", "96")
    bench(*call, "--size", "96")
    with (tmp_path / "results" / "profile.csv").open() as file:
        assert [(r["size_px"], r["batch"]) for r in csv.DictReader(file)] == [
            ("64", "1"),
            ("64", "2"),
            ("96", "1"),
            ("96", "2"),
        ]


def test_a_size_that_a_model_refuses_is_one_line(bench: Bench) -> None:
    done = bench("profile", "--models", "pranet", "--size", "250", "--batches", "1", code=2)
    assert "250" in done.stderr and "256" in done.stderr and "Traceback" not in done.stderr
