"""`--devices N`: one cell by several real processes over gloo, through the installed `bench`."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from forked_children import children
from harness import NET, PARTS, TINY, Bench, StartBench

SHORT = ("--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY)
QUICKLY = ("--no-track", "--no-time-first", "--device", "cpu")
TWO = (*QUICKLY, "--devices", "2")
LONG = ("run", *SHORT, "--set", "epochs=40", "--checkpoint-every", "0.1", "--results", "long")
WAIT_S = 240.0

STUCK = (
    NET
    + """
import time
from multiprocessing import parent_process
import torch.distributed as dist
import benchmark.execution.device_processes as crew

crew.GRACE_S = 3.0

class Net(TinyNet):
    def loss(self, outputs, mask, criterion=None):
        if dist.is_initialized() and not parent_process():
            open("stuck", "w").close()
            time.sleep(3600)
        return criterion(outputs[0], mask)

def build():
    return Net()
"""
)


def record_of(root: Path) -> tuple[Path, dict[str, Any]]:
    (path,) = (root / "runs").rglob("run.json")
    return path.parent, json.loads(path.read_text())


def test_two_processes_give_the_record_of_one(bench: Bench, tmp_path: Path) -> None:
    """13 images in batches of 8: shares of 4 and 4, then of 3 and 2."""
    odd = ("--set", "max_train_images=13", "--set", "optimizer=sgd", "--set", 'augmentation=["hflip","zoom"]')
    bench("run", *SHORT, *odd, *QUICKLY, "--results", "one")
    # a variable that torch reads when it is imported: the installed script itself is called
    done = bench("run", *SHORT, *odd, *TWO, "--results", "two", TORCH_SHOW_CPP_STACKTRACES="0")
    (here, one), (there, two) = record_of(tmp_path / "one"), record_of(tmp_path / "two")
    assert two["status"] == "ok" and two["training"]["devices"] == 2 and "devices" not in one["training"]
    assert two["cell"] == one["cell"] and two["best_epoch"] == one["best_epoch"]
    mine, theirs = pd.read_csv(here / "history.csv"), pd.read_csv(there / "history.csv")
    assert list(theirs["epoch"]) == [1, 2], "one row per epoch, however many processes"
    pd.testing.assert_frame_equal(mine, theirs, rtol=0, atol=2e-4)
    rows, others = pd.read_parquet(here / "scores.parquet"), pd.read_parquet(there / "scores.parquet")
    assert list(rows["id"]) == list(others["id"]), "no image is scored twice"
    for name, result in one["tests"].items():
        for key in ("mDSC", "mIoU", "MAE"):
            assert two["tests"][name]["scores"]["pranet"][key] == pytest.approx(
                result["scores"]["pranet"][key], abs=2e-3
            )
    assert done.stderr.count("epoch 1/2 loss") == 1 and "Warning" not in done.stderr
    locks = [json.loads(path.read_text()) for path in (tmp_path / "two" / "locks").rglob("[0-9]*")]
    assert {lock.get("released", False) for lock in locks if "pid" not in lock or lock.get("released")} == {True}


def test_variants_are_trained_by_two_processes_too(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "parts_net.py").write_text(PARTS)
    few = (*SHORT[2:], "--set", "epochs=1", "--set", "max_train_images=8", "--set", "max_val_images=4")
    bench("ablate", "--model", "./parts_net.py", *few, *TWO)
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").rglob("run.json")]
    assert [record["training"]["devices"] for record in records] == [2, 2]


class Study:
    """A long study in the background."""

    def __init__(self, start: StartBench, folder: Path, environment: dict[str, str], *command: str) -> None:
        self.log = folder / "log"
        with self.log.open("w") as file:
            self.process = start(command, cwd=folder, env=environment, stdout=file, stderr=file)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def others(self) -> list[psutil.Process]:
        """Those that train along; a helper of Python's own that watches over semaphores does not count."""
        return children(self.process.pid, "spawned")

    def until(self, words: str) -> None:
        end = time.monotonic() + WAIT_S
        while words not in self.said:
            assert self.process.poll() is None and time.monotonic() < end, self.said[-3000:]
            time.sleep(0.05)

    def ends_with(self, code: int, crowd: list[psutil.Process]) -> None:
        assert self.process.wait(timeout=WAIT_S) == code, self.said[-3000:]
        _, alive = psutil.wait_procs(crowd, timeout=30)
        assert not alive, "nobody is left behind"
        assert "Traceback" not in self.said


@pytest.fixture
def study(bench: Bench, start_bench: StartBench, tmp_path: Path, environment: dict[str, str]) -> Study:
    return Study(start_bench, tmp_path, environment, *LONG, *TWO)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_saves_and_the_same_command_goes_on_to_the_same_bytes(
    study: Study, bench: Bench, tmp_path: Path, number: signal.Signals
) -> None:
    study.until("epoch 2/40")
    crowd = study.others()
    assert len(crowd) == 1
    for process in (*crowd, study.process):  # as a batch system or a terminal does
        process.send_signal(number)
    study.ends_with(128 + number, crowd)
    folder, record = record_of(tmp_path / "long")
    assert record["status"] == "interrupted" and (folder / "last.pt").is_file()
    assert "run the same command again to continue" in study.said
    if number == signal.SIGINT:
        return
    done = bench(*LONG, *TWO)
    assert "epoch 2/40" not in done.stderr, "it went on from where it was"
    bench(*LONG[:-1], "whole", *TWO)
    whole, _ = record_of(tmp_path / "whole")
    for name in ("history.csv", "best.pt"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
def test_a_killed_process_fails_the_cell_in_one_line(study: Study, tmp_path: Path) -> None:
    study.until("epoch 3/40")
    crowd = study.others()
    crowd[0].kill()
    study.ends_with(1, crowd)
    folder, record = record_of(tmp_path / "long")
    assert record["status"] == "failed" and (folder / "last.pt").is_file()
    expected = "process 2 of 2 that trained this cell was killed by signal 9; run the same command again"
    assert record["error"].startswith(expected), record["error"]
    assert any(line.startswith("failed: ") and expected in line for line in study.said.splitlines()), study.said


@pytest.mark.slow
def test_nobody_outlives_the_first_process(study: Study) -> None:
    study.until("epoch 1/40")
    crowd = study.others()
    study.process.kill()
    study.ends_with(-signal.SIGKILL, crowd)


@pytest.mark.slow
def test_a_first_process_that_is_stuck_when_another_dies_ends_all_the_same(
    start_bench: StartBench, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "stuck_net.py").write_text(STUCK)
    study = Study(start_bench, tmp_path, environment, *LONG, *TWO, "--models", "./stuck_net.py")
    end = time.monotonic() + WAIT_S
    while not (tmp_path / "stuck").exists():
        assert study.process.poll() is None and time.monotonic() < end, study.said[-3000:]
        time.sleep(0.05)
    (other,) = study.others()
    other.kill()
    study.ends_with(1, [other])
    assert "error: process 2 of 2" in study.said.splitlines()[-1]


def test_a_network_that_fails_in_another_process_is_named(bench: Bench, tmp_path: Path) -> None:
    text = (tmp_path / "tiny_net.py").read_text()
    broken = "def build():\n    import multiprocessing\n    if multiprocessing.parent_process():\n"
    broken += "        raise ValueError('no such part')\n"
    (tmp_path / "tiny_net.py").write_text(text.replace("def build():\n", broken))
    said = bench("run", *SHORT, *TWO, code=1).stderr
    assert "process 2 of 2 that trained this cell failed: " in said and "no such part" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--devices", "0"), "--devices 0: expected 1 or more"),
        (("--devices", "9"), "more than the 8 images of a batch"),
        (("--devices", "2", "--device", "cuda:1"), "that is one device"),
    ],
)
def test_nonsense_is_one_line_before_anything_is_written(
    bench: Bench, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    done = bench("run", *SHORT, "--no-track", "--no-time-first", *options, code=2)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and words in last and not list(tmp_path.rglob("run.json"))


def test_more_gpus_than_there_are_is_one_line(bench: Bench) -> None:
    done = bench("run", *SHORT, "--no-track", "--no-time-first", "--device", "cuda", "--devices", "7", code=2)
    assert "--devices 7: this machine has " in done.stderr.strip().splitlines()[-1]
