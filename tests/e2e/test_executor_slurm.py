"""A study as submitit jobs, on its local executor: the same bytes as in one process, also after a warning."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from harness import Bench, outcome, until
from spread_study import STUDY, Start, finished

pytest.importorskip("submitit")

JOBS = ("--results", "jobs", "--executor", "slurm", "--executor-option", "cluster=local")
ONE = (*JOBS, "--seeds", "0")


def holders(results: Path) -> list[int]:
    """Processes that hold a cell."""
    facts = [json.loads(path.read_text() or "{}") for path in results.glob("locks/*/[1-9]*")]
    return [fact["pid"] for fact in facts if "pid" in fact and not fact.get("released")]


@pytest.mark.slow
def test_jobs_find_what_one_process_finds_though_one_is_warned_and_one_killed(
    alone: tuple[dict[str, str], str], start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = start(log, *JOBS, "--workers", "2", "--checkpoint-every", "1000")
    until(lambda: len(set(re.findall(r"  (\S+)  epoch 2/12", log.read_text()))) == 2, seconds=600)
    warned, killed = holders(tmp_path / "jobs")
    os.kill(warned, signal.SIGUSR2)  # what Slurm sends before the time is up or the node is taken
    os.kill(killed, signal.SIGKILL)
    (tmp_path / "slow").unlink()
    assert process.wait(timeout=900) == 0, log.read_text()[-3000:]
    text = log.read_text()
    assert len(re.findall(r"another worker continues from its last checkpoint", text)) == 1, "the killed one's"
    assert sorted(finished(text)) == sorted(set(finished(text))) and len(finished(text)) == 3, "each cell ends once"
    logs = "".join(path.read_text() for path in (tmp_path / "jobs" / "jobs").rglob("*_log.*"))
    assert "Requeued job" in logs, "the warned one was queued again by submitit"
    assert outcome(tmp_path / "jobs") == alone[0]
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        line for line in alone[1].splitlines() if line.startswith("|")
    ]


@pytest.mark.slow
def test_ctrl_c_cancels_the_jobs_and_they_save(
    alone: tuple[dict[str, str], str], bench: Bench, start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["BENCH_TEST_START"] = "exec"  # this job is started; those of the other test are forked
    log = tmp_path / "log"
    process = start(log, *ONE, "--workers", "1", "--checkpoint-every", "1000")
    until(lambda: "epoch 2/12" in log.read_text(), seconds=600)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130, log.read_text()[-3000:]
    assert "Traceback" not in log.read_text() and not holders(tmp_path / "jobs")
    assert len(list((tmp_path / "jobs").rglob("last.pt"))) == 1
    (tmp_path / "slow").unlink()
    del environment["BENCH_TEST_START"]
    bench(*STUDY, *ONE)
    assert list(outcome(tmp_path / "jobs").items()) == list(alone[0].items())[:1]


def test_without_slurm_it_is_one_line(tiny: Bench) -> None:
    done = tiny("--quiet", "--executor", "slurm", code=2)
    assert re.fullmatch(
        r"error: --executor slurm: cannot submit here \(.*\); run it where sbatch is, .*\n", done.stderr
    )
