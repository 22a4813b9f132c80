"""A study in several processes ends with the same bytes as in one, whatever dies; what was started is stopped."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from forked_children import children
from harness import PARTS, TINY, Bench, Process, outcome, until
from spread_study import STUDY, Start, finished

TIRES = """
from tiny_net import TinyNet

class Tires(TinyNet):
    passes = 0

    def forward(self, images):
        self.passes += 1
        if self.passes > 4:  # the trial pass makes three
            raise ValueError("too tired")
        return super().forward(images)

def build():
    return Tires()
"""


def workers_of(process: Process) -> list[psutil.Process]:
    return children(process.pid, "worker")


def runs(process: psutil.Process) -> bool:
    """Whether it still runs; one that nobody reaped does not."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_two_workers_find_what_one_process_finds_though_one_is_killed(
    alone: tuple[dict[str, str], str], start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    """These workers are started; those of the other tests are forked (see forked_children.py)."""
    environment["BENCH_TEST_START"] = "exec"
    log = tmp_path / "log"
    process = start(log, "--workers", "2", "--results", "two")
    until(lambda: log.read_text().count("epoch 3/12") >= 2)
    workers = workers_of(process)
    assert len(workers) == 2
    (tmp_path / "slow").unlink()
    workers[0].send_signal(signal.SIGKILL)
    assert process.wait(timeout=600) == 0, log.read_text()[-3000:]
    text = log.read_text()
    assert f"worker {workers[0].pid} was killed by signal 9; another worker continues" in text
    assert sorted(finished(text)) == sorted(set(finished(text))) and len(finished(text)) == 3, "each cell ends once"
    assert outcome(tmp_path / "two") == alone[0]
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        line for line in alone[1].splitlines() if line.startswith("|")
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_workers_and_loses_nothing(
    number: signal.Signals, code: int, alone: tuple[dict[str, str], str], bench: Bench, start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = start(log, "--workers", "2", "--results", "two", "--checkpoint-every", "1000")
    until(lambda: log.read_text().count("epoch 2/12") >= 2)
    workers = workers_of(process)
    process.send_signal(number)
    assert process.wait(timeout=60) == code, log.read_text()[-3000:]
    assert "run the same command again" in log.read_text() and "Traceback" not in log.read_text()
    assert not any(map(runs, workers))
    records = [json.loads(path.read_text()) for path in (tmp_path / "two" / "runs").rglob("run.json")]
    assert [record["status"] for record in records] == ["interrupted"] * 2
    assert len(list((tmp_path / "two").rglob("last.pt"))) == 2, "each saved where it stood"
    if number == signal.SIGINT:
        return
    (tmp_path / "slow").unlink()
    bench(*STUDY, "--results", "two")
    assert outcome(tmp_path / "two") == alone[0]


def test_workers_end_when_their_parent_was_killed(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(log, "--workers", "2", "--results", "two", "--checkpoint-every", "1000")
    until(lambda: log.read_text().count("epoch 2/12") >= 2)
    workers = workers_of(process)
    process.kill()
    process.wait()
    until(lambda: not any(map(runs, workers)), seconds=30)
    assert len(list((tmp_path / "two").rglob("last.pt"))) == 2


def test_overwrite_and_skip_run_each_cell_once(tiny: Bench, tmp_path: Path) -> None:
    many = ("--seeds", "0,1", "--results", "two", "--workers")
    assert tiny(*many, "1").stderr.count("(trained in ") == 2
    many = (*many, "2")
    before = outcome(tmp_path / "two")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("best.pt")}
    assert len(finished(tiny(*many, "--if-exists", "overwrite").stderr)) == 2
    assert outcome(tmp_path / "two") == before
    assert all(path.stat().st_mtime_ns > stamp for path, stamp in stamps.items())
    assert len(re.findall("  kept: ", tiny(*many, "--if-exists", "skip").stderr)) == 2


def test_cells_of_another_study_are_left_to_it(start: Start, tmp_path: Path) -> None:
    logs = [tmp_path / "one", tmp_path / "other"]
    first = start(logs[0], "--results", "shared")
    until(lambda: "epoch 2/12" in logs[0].read_text())
    second = start(logs[1], "--workers", "2", "--results", "shared")
    until(lambda: "locked by process" in logs[1].read_text())
    (tmp_path / "slow").unlink()
    assert [process.wait(timeout=600) for process in (first, second)] == [0, 0]
    ended = [line for log in logs for line in log.read_text().splitlines() if re.search(r" ok: ", line)]
    assert len(ended) == 3, "each cell is trained by one of them"
    assert "| Model" in logs[1].read_text()


def test_a_cell_that_fails_does_not_stop_the_others(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(TIRES)
    arguments = ("run", "--models", "./broken.py:build,./tiny_net.py:build", "--datasets", "phantom-kvasir", *TINY)
    done = bench(*arguments, "--recipe", "smoke", "--no-track", "--no-time-first", "--workers", "2", code=1)
    assert "| tiny\\_net" in done.stdout and "failed: file_broken_build" in done.stderr


def test_an_ablation_in_two_workers_prints_its_table(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "parts_net.py").write_text(PARTS)
    done = bench(
        *("ablate", "--model", "./parts_net.py", "--drop", "wide", "--datasets", "phantom-kvasir", *TINY),
        *("--recipe", "smoke", "--set", "epochs=1", "--no-track", "--no-time-first", "--workers", "2"),
    )
    assert len(finished(done.stderr)) == 2 and "parts\\_net w/o" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--executor", "rai"), "'rai' is not one of 'local', 'ray', 'slurm'"),
        (("--executor-option", "cpus=2"), "--executor-option cpus=2: unknown local option 'cpus'"),
        (("--executor", "ray", "--executor-option", "cpus=many"), "cannot read 'many'; cpus is CPUs per cell"),
        (("--executor", "slurm", "--executor-option", "time"), "expected key=value, for example cluster=local"),
    ],
)
def test_a_wrong_placement_is_one_line(tiny: Bench, arguments: tuple[str, ...], said: str) -> None:
    done = tiny(*arguments, code=2)
    assert done.stderr.count("\n") == 1 and said in done.stderr


@pytest.mark.parametrize(("executor", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_without_its_package_an_executor_says_what_to_install(
    executor: str, package: str, bench: Bench, tmp_path: Path, environment: dict[str, str]
) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from benchmark.cli import main; main()"
    command = [sys.executable, "-c", code, *STUDY, "--quiet", "--executor", executor]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    said = f"{package} is not installed; python -m pip install 'polyp-bench[{executor}]'"
    assert done.stderr == f"error: --executor {executor}: {said}\n"
