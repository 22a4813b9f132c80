"""What an executor is asked for, as it is read and dealt out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.errors import BenchError
from benchmark.execution.job import pack
from benchmark.execution.placement import OPTIONS, place
from benchmark.execution.prestart import threads_each
from benchmark.execution.processes import gpus_of
from benchmark.study.plan import Request


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("1:30", 2), ("8:00:00", 480), ("0:00:30", 1), ("2-0", 2880), ("1-12", 2160), ("1-02:30", 1590)],
)
def test_times_are_read_as_sbatch_reads_them(text: str, minutes: int) -> None:
    assert place("slurm", None, [f"time={text}"]).options == {"time": minutes}


@pytest.mark.parametrize(
    "pair", ["time=soon", "time=1:2:3:4", "time=-5", "cpus=-1", "gpus=nan", "memory=inf", "retries=2.5", "cpus="]
)
def test_values_that_make_no_sense_are_refused_with_an_example(pair: str) -> None:
    with pytest.raises(BenchError, match=r"cannot read .* for example "):
        place("slurm" if "gpus" not in pair and "inf" not in pair else "ray", None, [pair])


def test_every_example_can_be_read() -> None:
    for executor, options in OPTIONS.items():
        for key, option in options.items():
            assert key in place(executor, 1, [f"{key}={option.example}"]).options


def test_one_local_worker_is_this_process() -> None:
    assert place("local", None).is_here and place("local", 1).is_here
    assert not place("local", 2).is_here and not place("ray", 1).is_here


def test_workers_share_cores_and_take_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    assert [threads_each(place("local", None), workers) for workers in (2, 3, 16)] == [4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_each(place("local", 2), 2) == 3
    assert threads_each(place("local", 2, ["threads=5"]), 2) == 5
    assert [gpus_of(k, ["0", "3"]) for k in range(3)] == ["0", "3", "0"]
    assert gpus_of(1, ["0", "1", "2", "3"], each=2) == "2,3"
    assert gpus_of(0, []) is None


def test_a_request_survives_the_way_to_another_process() -> None:
    from pydantic import TypeAdapter

    request = Request(
        models=["unet", "./my net.py:build"],
        datasets=["kvasir", "./mine.toml"],
        overrides={"lr": 1e-4, "augmentation": ["hflip"], "encoder": None},
        seeds=[0, 3],
        ablations=[(), ("isam",), ("isam", "fsam")],
        data_root=Path("/data/ä b"),
        if_exists="skip",
        device="cuda:1",
    )
    text = json.dumps(pack(request))
    assert TypeAdapter(Request).validate_python(json.loads(text)["request"]) == request
