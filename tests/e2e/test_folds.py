"""`bench run --split kfold:K` takes every fold; centres that are left out, and the gap, through the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from harness import Bench
from PIL import Image

ONE = ("--set", "epochs=1")


def test_all_folds_are_run_and_their_mean_is_a_row(tiny: Bench, bench: Bench, tmp_path: Path) -> None:
    sets = ("--datasets", "phantom-kvasir,phantom-colondb", *ONE)
    done = tiny(*sets, "--split", "kfold:2")
    assert done.stdout.count("mean of 2 folds") == 2 and "| fold 2 |" in done.stdout
    names = {json.loads(p.read_text(encoding="utf-8"))["split"]["name"] for p in tmp_path.rglob("run.json")}
    assert names == {"kfold:2:1", "kfold:2:2"}
    text = bench("tables", "--wide", "--std").stdout
    assert "Split kfold:2 (seed 0)" in text and "| mean of 2 folds |" in text
    assert len(json.loads(tiny(*sets, "--split", "kfold:2", "--json").stdout)["records"]) == 2
    assert "--ci does not apply to a table over folds" in bench("tables", "--ci", code=2).stderr
    assert len(json.loads(tiny(*sets, "--split", "kfold:2", "--dry-run", "--json").stdout)) == 2
    done = bench("ablate", "--datasets", "phantom", "--split", "kfold:2", code=2)
    assert "say which fold tests, kfold:2:1 to kfold:2:2" in done.stderr


def _centres(root: Path) -> None:
    """Twelve images of each of three centres, as a dataset with a manifest."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for centre in ("C1", "C2", "C3"):
        for i in range(12):
            pixels = rng.integers(0, 90, (64, 64, 3), dtype=np.uint8)
            mask = np.zeros((64, 64), dtype=np.uint8)
            y, x = rng.integers(8, 40, 2)
            mask[y : y + 16, x : x + 16] = 255
            pixels[mask > 0] += np.uint8(120 if centre != "C3" else 20)
            Image.fromarray(pixels).save(root / "images" / f"{centre}_{i}.png")
            Image.fromarray(mask).save(root / "masks" / f"{centre}_{i}.png")
    (root / "centres.toml").write_text(
        'name = "centres"\nimages = "images/*.png"\nmasks = "masks/*.png"\npart = "^(?P<part>C[0-9])"\n',
        encoding="utf-8",
    )


def test_the_gap_to_a_centre_left_out_is_a_column(tiny: Bench, bench: Bench, tmp_path: Path) -> None:
    _centres(tmp_path / "own")
    for centre in ("C1", "C3"):
        tiny("--datasets", "own/centres.toml", *ONE, "--split", f"leave-out:{centre}")
    rows = {row["dataset"]: row for row in json.loads(bench("tables", "--split", "leave-out:C3", "--json").stdout)}
    assert rows["centres"]["gap"] == rows["centres-seen"]["mDSC"] - rows["centres"]["mDSC"]
    assert rows["centres-seen"]["n"] >= 1 and rows["centres"]["n"] == 4
    text = bench("tables").stdout
    assert "| gap mDSC |" in text and "| without C1 |" in text and "| mean of 2 parts |" in text
    assert "centres (seen parts)" in text
