"""Maps scored on different images: sets have names that tell them apart, rows are not ranked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from harness import Bench
from PIL import Image


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Two test sets of 8 and 6 images, each with folders called `masks` and `maps`."""
    rng = np.random.default_rng(0)
    for name, number in (("CVC-300", 8), ("Kvasir", 6)):
        for folder in ("masks", "maps"):
            (tmp_path / name / folder).mkdir(parents=True)
        for i in range(number):
            mask = np.zeros((24, 32), bool)
            mask[4:14, 5 + i : 20] = True
            Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / name / "masks" / f"{i}.png")
            soft = np.clip(mask * 200 + rng.integers(0, 55, mask.shape), 0, 255).astype(np.uint8)
            Image.fromarray(soft).save(tmp_path / name / "maps" / f"{i}.png")
    return tmp_path


def evaluate(bench: Bench, folder: str, name: str, *extra: str, code: int = 0):
    fixed = ("--predictions", f"{folder}/maps", "--masks", f"{folder}/masks", "--name", name, "--results", "r")
    return bench("evaluate", *fixed, *extra, code=code)


def test_two_folders_called_masks_are_two_sets(bench: Bench, sets: Path) -> None:
    for folder, name in (("CVC-300", "A"), ("Kvasir", "A"), ("CVC-300", "B")):
        evaluate(bench, folder, name)
    rows = json.loads(bench("tables", "--results", "r", "--json").stdout)
    assert [(row["dataset_title"], row["model_title"], row["n"]) for row in rows] == [
        ("Kvasir", "A", 6),
        ("CVC-300", "A", 8),
        ("CVC-300", "B", 8),
    ]


def test_one_name_of_a_set_on_other_images_is_refused_and_nothing_lost(bench: Bench, sets: Path) -> None:
    evaluate(bench, "Kvasir", "A")
    (sets / "other").mkdir()
    (sets / "Kvasir").rename(sets / "other" / "gone")
    (sets / "CVC-300").rename(sets / "other" / "Kvasir")
    (record,) = (sets / "r").rglob("run.json")
    before = record.read_bytes()
    said = evaluate(bench, "other/Kvasir", "A", code=2).stderr
    assert "on different images (6 in a/maps-" in said and len(said.strip().splitlines()) <= 2
    assert record.read_bytes() == before
    evaluate(bench, "other/Kvasir", "B")
    text = bench("tables", "--results", "r").stdout
    assert text.count("scored on other images than the other rows were") == 2
    assert "**" not in text and "<u>" not in text


def test_a_plain_and_a_boundary_evaluation_stand_side_by_side(bench: Bench, sets: Path) -> None:
    evaluate(bench, "Kvasir", "A")
    evaluate(bench, "CVC-300", "A", "--boundary")
    text = bench("tables", "--results", "r").stdout
    assert "Results on Kvasir (6 images)" in text and "Results on CVC-300 (8 images)" in text
    assert "older code" not in text
    evaluate(bench, "Kvasir", "A", "--boundary")
    assert "Left out, scored again later: a/maps-" in bench("tables", "--results", "r").stdout
