"""The installed `bench`, as a user calls it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from browser import chromium, visit  # noqa: F401 (fixtures)
from harness import NET, TINY, Bench, bench_executable
from spread_study import alone, start  # noqa: F401 (fixtures)


@pytest.fixture
def environment(shared_cache: Path) -> dict[str, str]:
    """The environment of a user without data or settings, apart from a cache of the tests' own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    return {**kept, "BENCH_CACHE_DIR": str(shared_cache), "COLUMNS": "200"}


@pytest.fixture
def bench(tmp_path: Path, environment: dict[str, str]) -> Bench:
    """Run `bench` in an empty folder; `code` is the exit code expected (None: any)."""
    (tmp_path / "tiny_net.py").write_text(NET)

    def call(*arguments: str, code: int | None = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [bench_executable(), *arguments],
            cwd=tmp_path,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=900,
        )
        if code is not None:
            assert done.returncode == code, f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    return call


@pytest.fixture
def tiny(bench: Bench) -> Bench:
    """`bench run` of the tiny network on phantom, without MLflow and estimate unless asked for."""

    def call(*arguments: str, code: int | None = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        fixed = ("run", "--models", "./tiny_net.py:build", "--datasets", "phantom", "--recipe", "smoke", *TINY)
        defaults = ("--no-track", "--no-time-first")
        return bench(*fixed, *defaults, *arguments, code=code, **variables)

    return call
