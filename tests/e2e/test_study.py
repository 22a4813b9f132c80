"""`bench study`: one command repeats all of a study."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from pathlib import Path

import pytest
from forked_children import children
from harness import Bench, StartBench

STUDY = """
[training]
datasets = "phantom-kvasir"
recipe = "smoke"
set = ["epochs=2", "image_size=64", "max_train_images=24", "max_test_images=4"]
no-track = true
no-time-first = true

[[part]]
command = "run"
folder = "one"
models = "./tiny_net.py:build"
seeds = "0,1"

[[part]]
command = "run"
folder = "two"
models = "./tiny_net.py:build"
split = "grouped"

[[part]]
command = "tables"
folder = "one"
latex = true
"""


def records(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("run.json"))}


def test_dry_run_prints_commands_that_can_be_run_as_they_are(bench: Bench) -> None:
    lines = bench("study", "cpu-study", "--dry-run", "--results", "out").stdout.splitlines()
    assert all(line.startswith(("bench run ", "bench ablate ")) for line in lines)
    assert "--results out/transfer-imagenet" in " ".join(lines)
    assert sum("--set pretrained=true" in line for line in lines) == 1
    rows = json.loads(bench("study", "cpu-study", "--dry-run", "--results", "out", "--json").stdout)
    assert [shlex.join(row["command"]) for row in rows] == lines and {row["exit_code"] for row in rows} == {None}


def test_each_part_has_its_folder_and_a_second_call_trains_nothing(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(STUDY)
    bench("study", "s.toml", "--results", "out")
    first = records(tmp_path / "out")
    assert [name.split("/")[0] for name in first] == ["one", "one", "two"]
    assert {json.loads(text)["split"]["name"] for name, text in first.items() if name.startswith("two")} == {"grouped"}
    assert list((tmp_path / "out" / "one" / "tables").glob("*.tex"))
    again = bench("study", "s.toml", "--results", "out", "--json")
    assert records(tmp_path / "out") == first
    rows = json.loads(again.stdout)
    assert [(row["command"][1], row["folder"], row["exit_code"]) for row in rows] == [
        ("run", "one", 0),
        ("run", "two", 0),
        ("tables", "one", 0),
    ]
    planned = json.loads(bench("study", "s.toml", "--results", "out", "--workers", "2", "--dry-run", "--json").stdout)
    assert "--workers" in planned[0]["command"] and "--workers" not in planned[2]["command"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_part_in_hand_which_saves_its_state(
    bench: Bench, start_bench: StartBench, tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    """SIGTERM to the study alone, as kill sends it; SIGINT to its whole group, as a terminal does."""
    if number == signal.SIGTERM:
        environment["BENCH_TEST_START"] = "exec"  # a part that is started, as a user's is; the others are forked
    (tmp_path / "s.toml").write_text(STUDY.replace("epochs=2", "epochs=400"))
    log = tmp_path / "log"
    with log.open("w") as stream:
        command = ["study", "s.toml", "--results", "out"]
        how = {"stdout": stream, "stderr": stream, "start_new_session": True}
        process = start_bench(command, cwd=tmp_path, env=environment, **how)
        limit = time.monotonic() + 120
        while "epoch 2/" not in log.read_text() and time.monotonic() < limit:
            time.sleep(0.2)
        (part,) = children(process.pid, "part")
        assert os.getsid(part.pid) != os.getsid(process.pid), "a terminal's Ctrl-C comes once, through the study"
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        assert process.wait(60) == 128 + number
    assert list((tmp_path / "out").rglob("last.pt")), "the part in hand saved its state"
    assert "run the same command again" in log.read_text() and "Traceback" not in log.read_text()
    (record,) = records(tmp_path / "out").values()
    assert json.loads(record)["status"] == "interrupted"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('command = "run"', 'command = "runn"', "did you mean 'run'?"),
        ("models =", "modells =", "did you mean 'models'?"),
        ('folder = "one"', 'folder = "../one"', "below --results"),
        ("latex = true", "latex = 3", "expected true or false"),
        ('split = "grouped"', "split = true", "expected text or a number"),
        ("[training]", "[traning]", "did you mean 'training'?"),
        ("[[part]]", "[[part", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_starts(
    bench: Bench, tmp_path: Path, old: str, new: str, says: str
) -> None:
    (tmp_path / "s.toml").write_text(STUDY.replace(old, new, 1))
    done = bench("study", "s.toml", "--results", "out", code=2)
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_study_names_those_there_are(bench: Bench) -> None:
    assert "did you mean 'cpu-study'" in bench("study", "cpu-stdy", code=2).stderr
    assert "packaged studies are cpu-study" in bench("study", "none.toml", code=2).stderr


def test_a_part_that_cannot_be_run_stops_the_study(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(STUDY.replace("./tiny_net.py:build", "nonsense", 1))
    done = bench("study", "s.toml", "--results", "out", code=2)
    assert "unknown model 'nonsense'" in done.stderr
    assert "stopped in part 1 of 3" in done.stderr
    assert not (tmp_path / "out" / "two").exists()
