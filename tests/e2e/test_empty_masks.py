"""Images without a polyp, through the installed `bench`: the protocol's rule, the note that counts them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from harness import Bench
from PIL import Image


@pytest.fixture
def negatives(tmp_path: Path) -> Path:
    """Two masks with a polyp and two without; maps: perfect, black (a miss), black (right), a false alarm."""
    polyp = np.zeros((40, 60), np.uint8)
    polyp[8:24, 10:40] = 255
    speck = np.zeros_like(polyp)
    speck[30:34, 50:55] = 255
    black = np.zeros_like(polyp)
    for folder, images in {"masks": (polyp, polyp, black, black), "maps": (polyp, black, black, speck)}.items():
        (tmp_path / folder).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / folder / f"m{i}.png")
    return tmp_path


def call(bench: Bench, *extra: str, code: int = 0, maps: str = "maps") -> str:
    fixed = ("evaluate", "--predictions", maps, "--masks", "masks", "--name", "Theirs", "--json", "out.json")
    return bench(*fixed, *extra, code=code).stderr


def test_the_rule_is_the_protocols_and_the_note_counts(bench: Bench, negatives: Path) -> None:
    expected = {"score": (1 + 0 + 0 + 0) / 4, "skip": (1 + 0) / 2, "one-if-empty": (1 + 0 + 1 + 0) / 4}
    words = {"score": "scored as they are", "skip": "left out of every mean", "one-if-empty": "overlap 1 where"}
    for rule, dice in expected.items():
        file = negatives / f"{rule}.toml"
        file.write_text(f'name = "{rule}"\nempty_mask = "{rule}"\nstretch = false\nthresholds = [0.5]\n')
        call(bench, "--protocol", file.name)
        got = json.loads((negatives / "out.json").read_text())
        assert got["metrics"]["mDSC"] == pytest.approx(dice)
        assert got["empty_masks"] == {"n": 2, "rule": rule} and got["n"] == 4
        text = bench("tables", "--protocol", file.name).stdout
        assert f"2 of 4 images show no polyp: {words[rule]}" in text
    lines = json.loads(bench("tables", "--by", "size", "--json", "--protocol", "skip.toml").stdout)
    assert {line["stratum"]: line["n"] for line in lines} == {"large": 2, "all": 2}


def test_pixels_counted_together_have_no_interval(bench: Bench, negatives: Path) -> None:
    call(bench, "--protocol", "half-pixels")
    got = json.loads((negatives / "out.json").read_text())
    polyp, speck = 16 * 30, 4 * 5
    assert got["metrics"]["mDSC"] == pytest.approx(2 * polyp / (polyp + polyp + polyp + speck))
    for options in (("--ci",), ("--by", "size"), ("--worst", "1")):
        error = bench("tables", "--protocol", "half-pixels", *options, code=2).stderr
        assert "counts the pixels of all images together" in error and error.count("\n") == 1
    assert "counts the pixels" in bench("plots", "distribution", "--protocol", "half-pixels", code=2).stderr
    assert "counts the pixels" in bench("report", "--protocol", "half-pixels", code=2).stderr
    (negatives / "mine.toml").write_text('name = "mine"\naverage = "pixels"\n')
    call(bench, "--protocol", "mine.toml")
    files = (negatives / "results" / "runs").rglob("run.json")
    (record,) = [path for path in files if '"mine"' in path.read_text()]
    assert json.loads(record.read_text())["own_protocols"]["mine"]["average"] == "pixels"
    assert "counts the pixels" in bench("tables", "--protocol", "mine", "--ci", code=2).stderr


def test_a_set_of_black_maps_is_scored(bench: Bench, negatives: Path) -> None:
    (negatives / "black").mkdir()
    for i in range(4):
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(negatives / "black" / f"m{i}.png")
    assert "constant maps (4) are scored unchanged" in call(bench, maps="black")
    got = json.loads((negatives / "out.json").read_text())
    assert (got["n"], got["metrics"]["mDSC"]) == (4, pytest.approx(2 * 480 / (2400 + 480) / 256 / 2))


def test_masks_that_are_all_empty_cannot_be_skipped(bench: Bench, negatives: Path) -> None:
    for i in range(2):
        (negatives / "masks" / f"m{i}.png").unlink()
        (negatives / "maps" / f"m{i}.png").unlink()
    (negatives / "skip.toml").write_text('name = "mine"\nempty_mask = "skip"\n')
    error = call(bench, "--protocol", "skip.toml", code=2)
    assert "all 2 masks are empty, and protocol mine" in error
    assert not (negatives / "results" / "runs").exists()


def test_lesions_and_calibration_of_others_maps(bench: Bench, negatives: Path) -> None:
    call(bench, "--lesions", "--calibration", "--boundary")
    got = json.loads((negatives / "out.json").read_text())["metrics"]
    expected = {"lesion_sensitivity": 1 / 2, "lesion_precision": 1 / 2}
    expected |= {"image_fpr": 1 / 2, "image_specificity": 1 / 2, "false_parts": 1 / 2}
    assert {key: got[key] for key in expected} == pytest.approx(expected)
    wrong = (16 * 30 + 4 * 5) / (4 * 40 * 60)  # a black map on a polyp, and the speck: each pixel is wrong by 1
    assert (got["brier"], got["ece"]) == pytest.approx((wrong, 20 / 9600 + 480 / 9600))
    (line,) = json.loads(bench("tables", "--lesions", "--json").stdout)
    assert {key: line[key] for key in expected} == pytest.approx(expected)
    assert (line["n"], line["num_negative"], line["num_lesions"], line["note"]) == (4, 2, 2, "")
    assert json.loads(bench("tables", "--calibration", "--json").stdout)[0]["brier_band"] == got["brier_band"]
    assert json.loads(bench("tables", "--boundary", "--json").stdout)[0]["hd95"] == pytest.approx(got["hd95"])
    lines = json.loads(bench("tables", "--lesions", "--by", "size", "--json").stdout)
    strata = {line["stratum"]: (line["lesion_sensitivity"], line["image_fpr"]) for line in lines}
    assert strata == {"empty": (None, 0.5), "large": (0.5, None), "all": (0.5, 0.5)}
    assert "one to one" in bench("tables", "--lesions", "--latex").stdout
    drawn = bench("plots", "reliability").stdout
    assert "reliability-masks" in drawn and drawn.count("\n") == 2
    bench("report", "--out", "page.html")
    page = (negatives / "page.html").read_text()
    assert all(f"{family}: " in page for family in ("Lesions", "Calibration", "Outlines"))
    (other,) = json.loads(bench("tables", "--lesions", "--overlap", "0.9", "--json").stdout)
    assert other["note"].startswith("has no stored maps") and other["lesion_sensitivity"] is None
    assert "overlap 2.0" in bench("tables", "--lesions", "--overlap", "2", code=2).stderr


def test_maps_of_others_that_were_not_measured_are_a_blank_with_its_reason(bench: Bench, negatives: Path) -> None:
    call(bench)
    assert "run 'bench tables --calibration' first" in bench("plots", "reliability", code=2).stderr
    text = bench("tables", "--lesions").stdout
    assert "Blank, Theirs: has no stored maps" in text
    assert "give either --lesions or --calibration" in bench("tables", "--lesions", "--calibration", code=2).stderr
    call(bench, "--lesions")
    assert "Blank" not in bench("tables", "--lesions").stdout
