"""`bench export`: the copy says what the results folder says, and holds nothing that must not be passed on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import Bench
from made_results import write_results


def test_the_copy_gives_the_same_tables_and_holds_no_picture(tiny: Bench, bench: Bench, tmp_path: Path) -> None:
    """Phantom's split leaks, so the clean figures need the curves of single images, too."""
    tiny("--set", "max_train_images=1000")
    done = json.loads(bench("export", "--out", "copy", "--protocols", "pranet,half", "--json").stdout)
    assert done["num_bytes"] == sum(path.stat().st_size for path in (tmp_path / "copy").rglob("*") if path.is_file())
    names = {Path(name).name for name in done["files"]}
    assert {"run.json", "history.csv", "scores.parquet", "curves.npz"} <= names and len(done["cells"]) == 1
    assert not [name for name in names if name.endswith((".png", ".pt", ".db", ".txt")) and name != "environment.txt"]
    (source,), (copy,) = ((tmp_path / root / "runs").glob("*/*/*") for root in ("results", "copy"))
    before, after = (json.loads((folder / "run.json").read_text()) for folder in (source, copy))
    assert before["environment"].pop("host") and "host" not in after["environment"]
    assert set(before["protocols"]) == {"pranet", "pranet-matlab", "half", "ldnet"}
    for record in (before, after):
        record["protocols"] = {name: record["protocols"][name] for name in ("half", "pranet")}
        for test in record["tests"].values():
            test["scores"] = {name: test["scores"][name] for name in ("half", "pranet")}
    assert before == after
    with np.load(copy / "curves.npz") as curves:
        single = {key.split("/")[1] for key in curves.files if key.endswith("em_images")}
    assert single == {"phantom-kvasir", "phantom-colondb", "phantom-endoscene"}
    shutil.rmtree(tmp_path / "copy" / "tables", ignore_errors=True)
    for options in (("--exclude-leaked",), ("--protocol", "half", "--ci", "--latex"), ("--by", "size")):
        ours, theirs = (bench("tables", *options, "--results", root).stdout for root in ("results", "copy"))
        assert ours == theirs != ""
    bench("report", "--results", "copy", "--no-images")
    assert "phantom" in (tmp_path / "copy" / "report.html").read_text()


def test_compact_keeps_the_figures_and_halves_the_rows(bench: Bench, tmp_path: Path) -> None:
    write_results(tmp_path / "results", {"unet": 0.7, "bsanet": 0.8})
    curve = np.random.default_rng(0).uniform(size=256)
    for path in (tmp_path / "results").rglob("run.json"):
        np.savez(path.with_name("curves.npz"), **{"pranet/kvasir/em": curve, "pranet/kvasir/n": np.array(40)})
    bench("export", "--out", "whole")
    bench("export", "--out", "small", "--compact")
    assert len(list((tmp_path / "small").rglob("scores.parquet"))) == 4
    for path in (tmp_path / "whole").rglob("*"):
        other = tmp_path / "small" / path.relative_to(tmp_path / "whole")
        if path.name == "scores.parquet":
            exact, rounded = pd.read_parquet(path), pd.read_parquet(other)
            assert set(exact.dtypes.astype(str)) == {"str", "float64"} and set(rounded.dtypes.astype(str)) == {
                "str",
                "float32",
            }
            pd.testing.assert_frame_equal(exact, rounded.astype(exact.dtypes.to_dict()), rtol=1e-6)
        elif path.name == "curves.npz":
            with np.load(path) as exact, np.load(other) as rounded:
                assert (exact["pranet/kvasir/em"] == curve).all() and exact["pranet/kvasir/n"] == rounded[
                    "pranet/kvasir/n"
                ]
                assert (rounded["pranet/kvasir/em"] == curve.astype("float32")).all()
        elif path.is_file() and path.name != "SHA256SUMS":
            assert path.read_bytes() == other.read_bytes(), path.name


def test_mistakes_are_one_line_and_leave_what_is_there(bench: Bench, tmp_path: Path) -> None:
    write_results(tmp_path / "results", {"unet": 0.7})
    write_results(tmp_path / "mixed", {"unet": 0.7})
    write_results(tmp_path / "mixed", {"bsanet": 0.7}, protocols={"pranet": "aa11bb22", "half": "0"})
    (tmp_path / "copy" / ".export" / "runs" / "old").mkdir(parents=True)
    bench("export", "--out", "copy")
    assert (tmp_path / "copy" / ".export" / "runs" / "old").is_dir(), "a folder of that name may be somebody's"
    assert not (tmp_path / "copy" / "runs" / "old").exists()
    before = {path: path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    for arguments, words in (
        (("--out", "copy"), "is there already"),
        (("--out", "other", "--protocols", "pranets"), "did you mean 'pranet'?"),
        (("--out", "other", "--results", "nowhere"), "not found"),
        (("--out", "tiny_net.py/x"), "cannot write"),
        (
            ("--out", "other", "--results", "mixed", "--protocols", "half"),
            "unet/quick-11112222/seed0: no scores by protocol half",
        ),
    ):
        done = bench("export", *arguments, code=2)
        assert words in done.stderr and done.stderr.count("\n") == 1
    assert before == {path: path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert not (tmp_path / "other").exists()


def test_a_folder_without_records_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert "no records" in bench("export", "--out", "copy", code=2).stderr


@pytest.mark.parametrize("torn", ["scores.parquet", "curves.npz", "run.json"])
def test_a_torn_file_leaves_no_half_export(bench: Bench, tmp_path: Path, torn: str) -> None:
    write_results(tmp_path / "results", {"unet": 0.7, "bsanet": 0.8})
    for path in (tmp_path / "results").rglob("run.json"):
        np.savez(path.with_name("curves.npz"), **{"pranet/kvasir/em": np.ones(3)})
    victim = sorted((tmp_path / "results").rglob(torn))[-1]
    victim.write_bytes(victim.read_bytes()[:20])
    done = bench("export", "--out", "copy", code=2)
    assert torn in done.stderr and done.stderr.count("\n") == 1
    assert not list((tmp_path / "copy").rglob("*"))


def test_it_says_which_commits_nobody_can_look_up(bench: Bench, tmp_path: Path) -> None:
    write_results(tmp_path / "results", {"unet": 0.7}, environment={"commit": "c0ffee00" * 5})
    write_results(tmp_path / "results", {"bsanet": 0.7}, environment={"commit": None, "commit_state": "modified"})
    done = bench("export", "--out", "copy")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert "2 records without a commit" in line
    in_no_history = "commit c0ffee00 is in no history here (2 records)"
    assert in_no_history in line or "the commits of 2 records could not be checked" in line  # in a shallow clone
    assert json.loads(bench("export", "--out", "again", "--json").stdout)["commits"] in line
