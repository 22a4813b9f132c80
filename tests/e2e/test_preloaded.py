"""The forked `bench`: which calls it serves, and that a call in the background ends as a process does."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from harness import StartBench
from preloaded import Preloaded


def test_only_a_variable_that_a_call_asks_for_needs_a_fresh_process(
    preloaded: Preloaded | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if preloaded is None:
        pytest.skip("all calls are of the script itself")
    monkeypatch.setenv("SET_BY_A_LIBRARY", "1")  # as torch does when the tests' process compiles something
    assert preloaded.serves(dict(os.environ)) and preloaded.serves({**os.environ, "BENCH_CACHE_DIR": "elsewhere"})
    assert not preloaded.serves({**os.environ, "HF_HOME": "elsewhere"})
    assert not preloaded.serves({key: value for key, value in os.environ.items() if key != "HF_HOME"})


def test_a_call_in_the_background_is_waited_for_and_killed(
    start_bench: StartBench, environment: dict[str, str], tmp_path: Path
) -> None:
    how = {"cwd": tmp_path, "env": environment}
    with (tmp_path / "log").open("w") as log:
        refused = start_bench(["run", "--models", "nonsense"], **how, stdout=log, stderr=log)
        assert refused.wait(timeout=60) == 2 and refused.poll() == 2 and "nonsense" in (tmp_path / "log").read_text()
        refused.send_signal(signal.SIGTERM)  # it has ended: nobody is hit
        serving = start_bench(["ui", "--no-open"], **how, stdout=log, stderr=log)
        assert serving.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            serving.wait(timeout=0.01)
        serving.kill()
        assert serving.wait(timeout=60) == -signal.SIGKILL == serving.poll()
