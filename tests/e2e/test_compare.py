"""`bench compare` on folders made by hand: identical ones, changed ones, and commits of one folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from harness import Bench
from made_results import write_results


def test_identical_folders_differ_in_nothing(bench: Bench, tmp_path: Path) -> None:
    write_results(tmp_path / "a", {"unet": 0.7})
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    found = json.loads(bench("compare", "a", "b", "--json").stdout)
    assert found["config"] == found["images"] == found["only_a"] == found["only_b"] == []
    assert len(found["numbers"]) == 6 and {row["difference"] for row in found["numbers"]} == {0}


def test_what_changed_is_named(bench: Bench, tmp_path: Path) -> None:
    seeds = (0, 1, 2)
    write_results(tmp_path / "a", {"unet": 0.7, "pranet": 0.8}, recipe={"epochs": 5}, seeds=seeds)
    write_results(tmp_path / "b", {"unet": 0.75}, recipe={"epochs": 10}, draw=1, seeds=seeds)
    found = json.loads(bench("compare", "a", "b", "--json", "--top", "3").stdout)
    assert found["config"] == [{"field": "recipe.epochs", "a": "5", "b": "10", "cells": "all"}]
    dice = next(row for row in found["numbers"] if row["measure"] == "mDSC")
    assert dice["low"] < dice["difference"] < dice["high"] and dice["difference"] == pytest.approx(0.05, abs=0.02)
    assert dice["p_holm"] < 0.05 and dice["n"] == 40
    assert all(row["p_holm"] is None for row in found["numbers"] if row["measure"] != "mDSC")
    moved = [abs(row["difference"]) for row in found["images"]]
    assert len(moved) == 3 and moved == sorted(moved, reverse=True)
    assert len(found["only_a"]) == 3 and found["only_a"][0].startswith("pranet/")
    text = bench("compare", "a", "b").stdout
    assert "| recipe.epochs | 5 | 10 | all |" in text and "Only in a: pranet" in text


def test_two_commits_of_one_folder(bench: Bench, tmp_path: Path) -> None:
    for commit, value in (("aaaa1111", 0.7), ("bbbb2222", 0.8)):
        cell = f"unet/quick-{commit}/seed0"
        write_results(tmp_path / "results", {"unet": value}, seeds=(0,), cell=cell, environment={"commit": commit})
    found = json.loads(bench("compare", "@aaaa", "@bbbb", "--json").stdout)
    assert found["config"] == [{"field": "environment.commit", "a": '"aaaa1111"', "b": '"bbbb2222"', "cells": "all"}]
    assert "the folder holds aaaa1111, bbbb2222" in bench("compare", "@cccc", "@bbbb", code=2).stderr


def test_nothing_in_common_and_no_folder_are_one_line(bench: Bench, tmp_path: Path) -> None:
    write_results(tmp_path / "a", {"unet": 0.7})
    write_results(tmp_path / "b", {"pranet": 0.7})
    for arguments, words in ((("a", "b"), "nothing to compare"), (("a", "nowhere"), "not found")):
        done = bench("compare", *arguments, code=2)
        assert words in done.stderr and done.stderr.count("\n") == 1
