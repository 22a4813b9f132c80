"""The installed `bench`, as a user calls it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, visit  # noqa: F401 (fixtures)
from harness import NET, TINY, Bench, Process, StartBench, bench_executable
from page_server import page_server, picture, served_home  # noqa: F401 (fixtures)
from preloaded import Preloaded
from six_models import six_models  # noqa: F401 (fixture)
from spread_study import alone, start  # noqa: F401 (fixtures)


@pytest.fixture
def environment(shared_cache: Path) -> dict[str, str]:
    """The environment of a user without data or settings, apart from a cache of the tests' own."""
    return user_environment(shared_cache)


def user_environment(cache: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    return {**kept, "BENCH_CACHE_DIR": str(cache), "COLUMNS": "200"}


@pytest.fixture(scope="session")
def preloaded(session_folder: Path) -> Preloaded | None:
    """A process with the libraries imported, which forks for every call; None: all calls are of the script itself."""
    if os.environ.get("BENCH_TEST_EXEC"):
        return None
    folder = session_folder / "preloaded"
    folder.mkdir(exist_ok=True)
    return Preloaded(folder)


@pytest.fixture(scope="session")
def run_bench(preloaded: Preloaded | None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `bench`, or a Python script, in a folder with an environment and wait for its end."""

    def call(
        arguments: list[str], *, cwd: Path, env: dict[str, str], script: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        if preloaded and preloaded.serves(env):
            return preloaded.run(arguments, cwd=cwd, env=env, script=script)
        command = [sys.executable, str(script)] if script else [bench_executable()]
        return run_command([*command, *arguments], cwd=cwd, env=env)

    return call


@pytest.fixture(scope="session")
def start_bench(preloaded: Preloaded | None) -> Iterator[StartBench]:
    """Start `bench` in the background, as ``subprocess.Popen`` does; what still runs at the end is killed."""
    started: list[Process] = []

    def call(arguments: Sequence[str], *, env: dict[str, str], **how: Any) -> Process:
        if preloaded and preloaded.serves(env):
            started.append(preloaded.start(arguments, env=env, **how))
        else:
            started.append(subprocess.Popen([bench_executable(), *arguments], env=env, **how))
        return started[-1]

    yield call
    for process in started:
        process.kill()
        process.wait()


def run_command(command: list[str], *, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a process and wait for its end."""
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)


STUDY = ("run", "--models", "./tiny_net.py:build", "--datasets", "phantom", "--recipe", "smoke", *TINY)
UNTRACKED = ("--no-track", "--no-time-first")


@pytest.fixture(scope="session")
def finished_once(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, run_bench: Callable[..., Any]
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The results of what ``tiny`` runs by default, for the whole session; and what the command printed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny_net.py").write_text(NET)
    done = run_bench([*STUDY, *UNTRACKED], cwd=folder, env=user_environment(shared_cache))
    assert done.returncode == 0, done.stderr
    return folder / "results", done


@pytest.fixture
def finished(
    bench: Bench, tmp_path: Path, finished_once: tuple[Path, subprocess.CompletedProcess[str]]
) -> subprocess.CompletedProcess[str]:
    """Put a copy of those results into the test's folder, as if ``tiny()`` had just run there."""
    results, done = finished_once
    shutil.copytree(results, tmp_path / "results")
    return done


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
        return bench(*STUDY, *UNTRACKED, *arguments, code=code, **variables)

    return call
