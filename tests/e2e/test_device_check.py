"""The device check runs through on a CPU, and `bench estimate` reads what it writes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.costs.hardware import measured_rows

CHECK = Path(__file__).parents[1] / "device" / "check.py"
QUICK = ("trainings", "agreement", "repeats", "resumption", "memory", "devices", "throughput", "profiles")
SLOW = ("sharing", "compilation")


@pytest.mark.slow
def test_every_step_runs_on_a_cpu(
    run_bench: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    out, wanted = tmp_path / "check.json", (*QUICK, *(SLOW if os.environ.get("BENCH_TEST_FULL") else ()))
    arguments = ["--device", "cpu", "--short", "--only", *wanted, "--out", str(out)]
    done = run_bench(arguments, cwd=tmp_path, env=environment, script=CHECK)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    steps = {step["name"]: step["status"] for step in json.loads(out.read_text())["steps"]}
    assert sorted(steps) == sorted(wanted) and set(steps.values()) == {"ok"}, done.stdout[-3000:]
    assert measured_rows(out)
