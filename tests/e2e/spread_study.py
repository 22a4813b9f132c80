"""A study of seconds for the tests of executors: in one process, and in the background elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import NET, TINY, Bench, Process, StartBench, outcome

STUDY = (
    *("run", "--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY),
    *("--set", "epochs=12", "--seeds", "0,1,2", "--no-track", "--no-time-first", "--checkpoint-every", "0.5"),
)
SLOW = "\nimport pathlib, time\ndef wait():\n    if pathlib.Path('slow').exists():\n        time.sleep(0.2)\n"
SLOW_NET = NET.replace("    def forward(self, image):\n", "    def forward(self, image):\n        wait()\n") + SLOW

Start = Callable[..., Process]


@pytest.fixture(scope="session")
def alone(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, run_bench: Callable[..., Any]
) -> tuple[dict[str, str], str]:
    """What the study finds in one process, and the table that it prints."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tiny_net.py").write_text(SLOW_NET)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    environment = {**kept, "BENCH_CACHE_DIR": str(shared_cache)}
    done = run_bench([*STUDY, "--results", "alone"], cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return outcome(folder / "alone"), done.stdout


@pytest.fixture
def start(bench: Bench, start_bench: StartBench, tmp_path: Path, environment: dict[str, str]) -> Start:
    """Start the study in the background; all it prints goes to a file. While the file `slow` is there it takes time."""
    (tmp_path / "tiny_net.py").write_text(SLOW_NET)
    (tmp_path / "slow").touch()

    def call(log: Path, *arguments: str) -> Process:
        with log.open("w") as file:
            return start_bench([*STUDY, *arguments], cwd=tmp_path, env=environment, stdout=file, stderr=file)

    return call


def finished(log: str) -> list[str]:
    return re.findall(r"^  (\S+)  ok: ", log, re.M)
