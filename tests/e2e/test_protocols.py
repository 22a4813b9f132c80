"""A protocol of one's own through `bench run` and `bench tables`; engines that cannot follow say so."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from harness import Bench


@pytest.mark.usefixtures("finished")
def test_ones_own_protocol_needs_no_second_training(bench: Bench, tiny: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nstretch = false\nthresholds = [0.3]\ncompare = ">="\n')
    half = json.loads(bench("tables", "--protocol", "half", "--json").stdout)
    assert {row["protocol"] for row in half} == {"half"}
    error = bench("tables", "--protocol", "mine.toml", code=2).stderr
    assert "--protocol mine.toml scores it without training" in error and error.count("\n") == 1
    best = next((tmp_path / "results" / "runs").rglob("best.pt"))
    weights = best.stat().st_mtime_ns
    assert "Protocol mine" in tiny("--protocol", "mine.toml").stdout
    assert best.stat().st_mtime_ns == weights, "it was not trained again"
    rows = pd.read_parquet(best.with_name("scores.parquet"))
    mine = rows[(rows["protocol"] == "mine") & (rows["dataset"] == "phantom-etis")]
    (row,) = json.loads(bench("tables", "--protocol", "mine.toml", "--json", "--datasets", "phantom-etis").stdout)
    assert row["protocol"] == "mine" and row["mDSC"] == pytest.approx(mine["dice"].mean())
    (tmp_path / "mine.toml").write_text('name = "mine"\nstretch = false\nthresholds = [0.4]\n')
    assert "in another version only" in bench("tables", "--protocol", "mine.toml", code=2).stderr


def test_the_reference_engine_says_what_it_cannot_follow(bench: Bench, tiny: Bench, tmp_path: Path) -> None:
    error = tiny("--engine", "reference", "--protocol", "pranet-matlab", code=2).stderr
    assert "cannot follow protocol 'pranet-matlab'" in error and "MATLAB's threshold list" in error
    assert not (tmp_path / "results" / "runs").exists()
    tiny("--engine", "reference", "--datasets", "phantom-kvasir")
    error = bench("tables", "--protocol", "ldnet", code=2).stderr
    assert "engine 'reference' cannot follow it" in error and "--engine fast" in error


def test_a_new_protocol_on_one_set_keeps_the_scores_of_the_others(tiny: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nstretch = false\nthresholds = [0.3]\n')
    tiny("--datasets", "phantom-kvasir,phantom-etis")
    (path,) = (tmp_path / "results" / "runs").rglob("run.json")
    before = json.loads(path.read_text())
    tiny("--datasets", "phantom-kvasir", "--protocol", "mine.toml")
    after = json.loads(path.read_text())
    assert after["tests"]["phantom-etis"] == before["tests"]["phantom-etis"]
    assert "mine" in after["tests"]["phantom-kvasir"]["scores"] and "mine" in after["protocols"]
    rows = pd.read_parquet(path.with_name("scores.parquet")).groupby("dataset")["protocol"].unique()
    assert "mine" in rows["phantom-kvasir"] and set(rows["phantom-etis"]) == set(before["protocols"])
