"""The installed `bench`, as a user calls it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import chromium, visit  # noqa: F401 (fixtures)
from harness import NET, TINY, Bench, bench_executable
from page_server import page_server, picture, served_home  # noqa: F401 (fixtures)
from preloaded import Preloaded
from spread_study import alone, start  # noqa: F401 (fixtures)


@pytest.fixture
def environment(shared_cache: Path) -> dict[str, str]:
    """The environment of a user without data or settings, apart from a cache of the tests' own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    return {**kept, "BENCH_CACHE_DIR": str(shared_cache), "COLUMNS": "200"}


@pytest.fixture(scope="session")
def run_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run `bench` in a folder with an environment and wait for its end; the libraries are imported already."""
    if os.environ.get("BENCH_TEST_EXEC"):
        yield run_installed
        return
    server = Preloaded(tmp_path_factory.mktemp("preloaded"))

    def call(arguments: list[str], *, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        run = server.run if server.serves(env) else run_installed
        return run(arguments, cwd=cwd, env=env, timeout=900)

    yield call
    server.close()


def run_installed(
    arguments: list[str], *, cwd: Path, env: dict[str, str], timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run the installed script itself."""
    command = [bench_executable(), *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def bench(
    tmp_path: Path, environment: dict[str, str], run_bench: Callable[..., subprocess.CompletedProcess[str]]
) -> Bench:
    """Run `bench` in an empty folder; `code` is the exit code expected (None: any)."""
    (tmp_path / "tiny_net.py").write_text(NET)

    def call(*arguments: str, code: int | None = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        done = run_bench(list(arguments), cwd=tmp_path, env={**environment, **variables})
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
