"""The device check runs through on a CPU, and `bench estimate` reads what it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.costs.hardware import measured_rows

QUICK = ("trainings", "agreement", "repeats", "resumption", "memory", "devices", "throughput", "profiles")
SLOW = ("sharing", "compilation")


@pytest.mark.slow
def test_every_step_runs_on_a_cpu(tmp_path: Path) -> None:
    out, wanted = tmp_path / "check.json", (*QUICK, *(SLOW if os.environ.get("BENCH_TEST_FULL") else ()))
    command = [
        sys.executable,
        str(Path(__file__).with_name("check.py")),
        "--device",
        "cpu",
        "--short",
        "--only",
        *wanted,
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    steps = {step["name"]: step["status"] for step in json.loads(out.read_text())["steps"]}
    assert sorted(steps) == sorted(wanted) and set(steps.values()) == {"ok"}, done.stdout[-3000:]
    assert measured_rows(out)
