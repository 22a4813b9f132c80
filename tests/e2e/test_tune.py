"""`bench tune`: equal budgets, kept to the trial, whatever dies; on validation images alone."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from harness import NET, Bench, StartBench, until
from PIL import Image

import benchmark
from benchmark.data.splits.choose import obtain_split

SPACE = """
[search.lr]
low = 1e-4
high = 1e-2
log = true
[search.loss]
choices = ["bce_dice", "bce"]
[search.augmentation]
choices = [[], ["hflip", "rot90"]]
[search.encoder]
choices = ["resnet18", "resnet34"]
[pruner]
startup_trials = 1
"""
MODELS = "./tiny_net.py:build,./small_net.py:build"
SMALL = ("--recipe", "smoke", "--set", "epochs=3", "--set", "image_size=64", "--set", "max_train_images=16")
SMALL += ("--set", "max_val_images=8", "--set", "max_test_images=2", "--space", "space.toml")
TUNE = ("tune", "--models", MODELS, "--trials", "3", "--datasets", "phantom-kvasir", *SMALL)


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """Two small networks that take their time while the file `slow` is there, and a space."""
    slow = NET.replace("    def forward(self, image):\n", "    def forward(self, image):\n        wait()\n")
    slow += "\nimport pathlib, time\ndef wait():\n    if pathlib.Path('slow').exists():\n        time.sleep(0.5)\n"
    (tmp_path / "tiny_net.py").write_text(slow)
    (tmp_path / "small_net.py").write_text(slow.replace("16", "12"))
    (tmp_path / "space.toml").write_text(SPACE)


def trials_of(journal: Path) -> dict[str, list[Any]]:
    """Every trial of every study in a journal, as optuna itself reads it."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    names = optuna.get_all_study_names(storage)
    return {name: optuna.load_study(study_name=name, storage=storage).trials for name in names}


def check_exact(studies: dict[str, list[Any]], number: int = 3) -> None:
    assert len(studies) == 2
    for trials in studies.values():
        done = [t for t in trials if t.state.name in ("COMPLETE", "PRUNED")]
        assert sorted(t.user_attrs["slot"] for t in done) == list(range(number))
        assert {t.state.name for t in trials} <= {"COMPLETE", "PRUNED", "FAIL"}


def reports(studies: dict[str, list[Any]]) -> dict[tuple[str, int], dict[int, float]]:
    """The scores by epoch of every trial that ended."""
    return {
        (name, trial.user_attrs["slot"]): trial.intermediate_values
        for name, trials in studies.items()
        for trial in trials
        if trial.state.name != "FAIL"
    }


def running_lease(journal: Path, epochs: int = 1) -> dict[str, Any]:
    """Who runs a trial that has finished so many epochs."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if journal.exists():
            for trial in (t for trials in trials_of(journal).values() for t in trials):
                if trial.state.name == "RUNNING" and len(trial.intermediate_values) >= epochs:
                    return trial.user_attrs["lease"]
        time.sleep(0.3)
    raise AssertionError("no trial ever ran")


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_trial_and_the_recipes_run(
    bench: Bench, start_bench: StartBench, tmp_path: Path, environment: dict[str, str]
) -> None:
    journal = tmp_path / "results" / "tuning" / "studies.journal"
    (tmp_path / "slow").touch()
    with (tmp_path / "log").open("w") as log:
        process = start_bench([*TUNE, "--workers", "2"], cwd=tmp_path, env=environment, stdout=log, stderr=log)
        victim = running_lease(journal)["pid"]
        assert victim != process.pid
        os.kill(victim, signal.SIGKILL)
        (tmp_path / "slow").unlink()
        code = process.wait(timeout=300)
    text = (tmp_path / "log").read_text()
    assert code == 0, text
    assert f"worker {victim} was killed by signal 9" in text
    studies = trials_of(journal)
    check_exact(studies)
    everything = [t for trials in studies.values() for t in trials]
    left = [t for t in everything if t.state.name == "FAIL" and t.user_attrs["lease"]["pid"] == victim]
    (dead,) = [t for t in left if "ended" not in t.user_attrs]  # the others withdrew: two workers asked for one slot
    (own,) = [trials for trials in studies.values() if dead in trials]
    again = next(t for t in own if t.user_attrs.get("redo_of") == dead.number and t.state.name != "FAIL")
    assert again.params == dead.params and again.user_attrs["slot"] == dead.user_attrs["slot"]
    bench(*TUNE)
    assert trials_of(journal) == studies, "finished: nothing was run again"

    head = (tmp_path / "results" / "tuning" / "tuned-file_tiny_net_build.toml").read_text()
    assert "bench tune --models" in head and "3 trials" in head and "best val_dice_half 0." in head
    assert "SYNTHETIC" in head and "no test image was read" in head
    run = ("run", "--models", MODELS, "--datasets", "phantom-kvasir", "--no-track", "--no-time-first", "--recipe")
    printed = bench(*run, "results/tuning/tuned.toml").stdout
    assert "Recipe tuned on validation images with 3 trials." in printed
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").rglob("run.json")]
    table = pd.read_csv(tmp_path / "results" / "tuning" / "trials.csv")
    for record in records:
        rows = table[table["model"] == record["model"]]
        best = rows.loc[rows["score"].idxmax()]
        assert record["recipe"]["lr"] == best["lr"] and json.dumps(record["recipe"]["loss"]) == best["loss"]
        assert record["recipe"]["tuned_trials"] == 3 and len(rows) == 3
    assert len(records) == 2 and "encoder" not in table.columns, "neither network takes one"


@pytest.mark.slow
def test_a_lone_worker_that_is_killed_ends_with_what_an_undisturbed_one_finds(
    bench: Bench, start_bench: StartBench, tmp_path: Path, environment: dict[str, str]
) -> None:
    bench(*TUNE, "--results", "alone")
    (tmp_path / "slow").touch()
    asked = [*TUNE, "--results", "killed", "--checkpoint-every", "0.1"]
    with (tmp_path / "log").open("w") as log:
        process = start_bench(asked, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    running_lease(tmp_path / "killed" / "tuning" / "studies.journal", epochs=2)
    reported = time.time()  # two scores, by which the others may be stopped; the next state on disk comes after them
    until(lambda: any(p.stat().st_mtime > reported for p in (tmp_path / "killed" / "tuning").rglob("*.pt")))
    process.kill()
    process.wait(timeout=30)
    (tmp_path / "slow").unlink()
    bench(*TUNE, "--results", "killed")
    first, again = (trials_of(tmp_path / name / "tuning" / "studies.journal") for name in ("alone", "killed"))
    check_exact(again)
    assert reports(first) == reports(again), (
        "a trial that goes on tells of its first epochs too: others are judged by them"
    )
    one, two = (pd.read_csv(tmp_path / name / "tuning" / "trials.csv") for name in ("alone", "killed"))
    columns = ["model", "slot", "state", "score", "lr", "loss", "augmentation"]
    pd.testing.assert_frame_equal(one[columns], two[columns], check_exact=True)
    assert not list((tmp_path / "killed" / "tuning").rglob("*.pt")), "unfinished states are gone"


@pytest.mark.slow
def test_no_test_image_is_touched_and_a_database_serves_as_well(
    bench: Bench, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "data" / "mine"
    for kind in ("images", "masks"):
        (mine / kind).mkdir(parents=True)
        for i in range(20):
            pixels = np.zeros((40, 40), np.uint8)
            pixels[i : 20 + i, 5:30] = 255
            Image.fromarray(pixels).save(mine / kind / f"{i}.png")
    split = obtain_split("paper", ["mine"], root=tmp_path / "data")
    for item in split.tests["mine"]:
        item.image_path.write_bytes(b"no image")
        item.mask_path.write_bytes(b"no mask")
    data = ("--models", "./tiny_net.py", "--datasets", "mine", "--data-root", "data", *SMALL)
    assert "cannot read image" in bench("run", *data[:-2], "--no-track", "--no-time-first", code=2).stderr
    call = ("tune", *data, "--trials", "2", "--storage", "sqlite:///tuning.db", "--json")
    (found,) = json.loads(bench(*call).stdout)["models"]
    assert found["trials"] == 2 and (tmp_path / "tuning.db").is_file()
    more = json.loads(bench(*call[:-3], "--storage", "sqlite:///tuning.db", "--trials", "3", "--json").stdout)[
        "models"
    ][0]
    assert more["trials_list"][:2] == found["trials_list"], "asked for more, it goes on from what there is"
    assert len(more["trials_list"]) == 3

    monkeypatch.chdir(tmp_path)
    sizes = {"epochs": 3, "image_size": 64, "max_train_images": 16, "max_val_images": 8, "max_test_images": 2}
    data_root, storage = tmp_path / "data", "sqlite:///tuning.db"
    common = {"recipe": "smoke", "overrides": sizes, "data_root": data_root, "cache_dir": shared_cache}
    table = benchmark.tune("./tiny_net.py", "mine", trials=3, space="space.toml", storage=storage, **common)
    assert table["score"].dropna().tolist() == [t["score"] for t in more["trials_list"] if t["score"] is not None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--space", "none.toml"), "not found"),
        (("--trials", "0"), "at least 1"),
        (("--set", "select=last_all"), "select=best"),
        (("--storage", "nosql://here"), "cannot use this database"),
        (("--storage", "space.toml"), "not an Optuna journal"),
    ],
)
def test_mistakes_are_one_line(bench: Bench, options: tuple[str, ...], words: str) -> None:
    said = bench(*TUNE, *options, code=2).stderr
    assert words in said.splitlines()[-1] and "Traceback" not in said
