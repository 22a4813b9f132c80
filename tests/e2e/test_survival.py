"""A study that is killed, starved or shared ends with the same bytes as one that was left alone."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import NET, TINY, Bench, Process, StartBench, outcome, until

NUM_KILLS = 20 if os.environ.get("BENCH_TEST_FULL") else 6
STUDY = (
    *("run", "--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY),
    *("--set", "epochs=40", "--seeds", "0,1,2", "--no-track", "--no-time-first", "--checkpoint-every", "0.1"),
)

Start = Callable[..., Process]


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, run_bench: Callable[..., Any]
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tiny_net.py").write_text(NET)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    environment = {**kept, "BENCH_CACHE_DIR": str(shared_cache)}
    assert run_bench([*STUDY, "--results", "alone"], cwd=folder, env=environment).returncode == 0
    return outcome(folder / "alone")


@pytest.fixture
def start(bench: Bench, start_bench: StartBench, tmp_path: Path, environment: dict[str, str]) -> Start:
    """Start the study in the background; its standard error goes to a file."""

    def call(results: Path | str, log: Path) -> Process:
        with log.open("w") as file:
            asked = [*STUDY, "--results", str(results)]
            return start_bench(asked, cwd=tmp_path, env=environment, stdout=file, stderr=file)

    return call


def half_written(results: Path) -> list[Path]:
    return [path for path in results.rglob(".*") if path.name != ".bench"]


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    undisturbed: dict[str, str], bench: Bench, start: Start, tmp_path: Path
) -> None:
    draw, log, kills = random.Random(0), tmp_path / "log", 0
    for _ in range(NUM_KILLS):
        process = start("killed", log)
        until(lambda p=process: "[1/3]" in log.read_text() or p.poll() is not None)  # type: ignore[misc]
        time.sleep(draw.uniform(0, 1.2))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    bench(*STUDY, "--results", "killed")
    print(f"killed {kills} times while it worked ({NUM_KILLS} tries)")
    assert kills >= NUM_KILLS / 2, "it must have been killed while it worked"
    assert outcome(tmp_path / "killed") == undisturbed and not half_written(tmp_path / "killed")


def test_sigterm_keeps_the_last_step_and_exits_143(
    undisturbed: dict[str, str], bench: Bench, start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = start("stopped", log)
    until(lambda: "epoch 3/40" in log.read_text())
    process.terminate()
    assert process.wait(timeout=60) == 143
    text = log.read_text()
    assert "run the same command again" in text and "Traceback" not in text
    assert list((tmp_path / "stopped").rglob("last.pt"))
    bench(*STUDY, "--results", "stopped")
    assert outcome(tmp_path / "stopped") == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 400 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def test_a_disk_that_fills_up_is_one_line_and_the_work_goes_on_later(
    undisturbed: dict[str, str], bench: Bench, small_disk: Path
) -> None:
    results = small_disk / "results"
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 330_000)
    done = bench(*STUDY, "--results", str(results), code=2)
    assert re.fullmatch(r"error: no space left for .*: free some space and run the same command again", last_line(done))
    assert not half_written(results)
    filler.unlink()
    remount(small_disk, "size=64m")
    bench(*STUDY, "--results", str(results))
    assert outcome(results) == undisturbed


def test_a_results_folder_that_turns_read_only_is_one_line_and_the_work_goes_on_later(
    undisturbed: dict[str, str], bench: Bench, start: Start, small_disk: Path, tmp_path: Path
) -> None:
    remount(small_disk, "size=64m")
    results, log = small_disk / "results", tmp_path / "log"
    process = start(results, log)
    until(lambda: "epoch 3/40" in log.read_text())
    process.send_signal(signal.SIGSTOP)  # no file may be open for writing then
    for _ in range(50):
        if subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], capture_output=True).returncode == 0:
            break
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=120) == 2
    assert "error: cannot write" in log.read_text() and "Traceback" not in log.read_text()
    remount(small_disk, "rw")
    bench(*STUDY, "--results", str(results))
    assert outcome(results) == undisturbed


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip().splitlines()[-1]


def test_two_at_once_share_the_cells_and_one_that_dies_is_succeeded(
    undisturbed: dict[str, str], start: Start, tmp_path: Path
) -> None:
    logs = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    crowd = [start("shared", log) for log in logs]
    until(lambda: any("epoch 5/40" in log.read_text() for log in logs))
    victim = next(i for i, log in enumerate(logs) if "epoch 5/40" in log.read_text())
    crowd[victim].send_signal(signal.SIGKILL)
    codes = [process.wait(timeout=300) for process in crowd]
    assert codes.count(0) == 2 and codes[victim] == -signal.SIGKILL
    assert outcome(tmp_path / "shared") == undisturbed
    finished = [line for log in logs for line in log.read_text().splitlines() if line.startswith("  ok: ")]
    assert len(finished) == 3, "each cell is finished by one process"
    for i in {0, 1, 2} - {victim}:
        assert "| Model" in logs[i].read_text(), "who waited prints the whole table too"
