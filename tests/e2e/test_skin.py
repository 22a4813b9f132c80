"""The paper's skin experiment in small: generated ISIC files, PH2's ten real lesions where they are at hand."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from harness import TINY, Bench
from PIL import Image


def lesion(seed: int) -> tuple[Image.Image, Image.Image]:
    """A dark disc on light skin, and its mask."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:90, :120]
    inside = (rows - rng.integers(30, 60)) ** 2 + (columns - rng.integers(40, 80)) ** 2 < rng.integers(12, 28) ** 2
    pixels = np.full((90, 120, 3), (220, 180, 160), np.float64) + rng.normal(0, 6, (90, 120, 3))
    pixels[inside] -= (110, 100, 90)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), Image.fromarray(inside.astype(np.uint8) * 255)


def write(images: Path, masks: Path, numbers: range, tail: str) -> None:
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    for number in numbers:
        image, mask = lesion(number)
        image.save(images / f"ISIC_{number:07d}.jpg", quality=95)
        mask.save(masks / f"ISIC_{number:07d}_{tail}.png")


def skin_root(root: Path) -> tuple[Path, bool]:
    """Write both challenges (ISIC 2018 trains on what ISIC 2016 tests) and PH2; tells whether PH2 is real."""
    for part, numbers in (("Training", range(24)), ("Test", range(100, 106))):
        stem = root / f"ISBI2016_ISIC_Part1_{part}"
        write(Path(f"{stem}_Data"), Path(f"{stem}_GroundTruth"), numbers, "Segmentation")
    for part, numbers in (("Training", range(12, 103)), ("Validation", range(200, 203)), ("Test", range(300, 304))):
        images, masks = root / f"ISIC2018_Task1-2_{part}_Input", root / f"ISIC2018_Task1_{part}_GroundTruth"
        write(images, masks, numbers, "segmentation")
    real = Path(os.environ.get("BENCH_DATA_ROOT", "")) / "PH2Dataset"
    if os.environ.get("BENCH_DATA_ROOT") and real.is_dir():
        shutil.copytree(real, root / "PH2Dataset")
        return root, True
    for number in range(2, 12):
        name = f"IMD{number:03d}"
        home = root / "PH2Dataset" / "PH2 Dataset images" / name
        for kind, file, picture in zip(("Dermoscopic_Image", "lesion"), ("", "_lesion"), lesion(number), strict=True):
            (home / f"{name}_{kind}").mkdir(parents=True)
            picture.save(home / f"{name}_{kind}" / f"{name}{file}.bmp")
    return root, False


def test_skin_from_files_to_tables(bench: Bench, tmp_path: Path) -> None:
    root, _ = skin_root(tmp_path / "data")
    run = ("run", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, "--set", "max_test_images=10")
    skin = ("--datasets", "skin", "--split", "paper-skin", "--data-root", str(root))
    done = bench(*run, *skin, "--no-track", "--no-time-first")
    record = json.loads(next((tmp_path / "results" / "runs").rglob("run.json")).read_text())
    tests = record["tests"]
    assert {name: (one["n"], one["num_leaked_exact"]) for name, one in tests.items()} == {
        "isic2016": (6, 0),
        "isic2018": (7, 0),
        "ph2": (10, 0),
    }
    assert record["split"]["num_train"] + record["split"]["num_val"] == 88 + 12 and not record["synthetic"]
    assert "3 of 91 training images also test and do not train" in record["partial"]["isic2018"]
    assert "12 of 24 training images stand in isic2018 too" in record["partial"]["isic2016"]
    assert "training images also test" in done.stderr
    latex = bench("tables", "--latex", "--datasets", "skin").stdout
    assert latex.count(r"\toprule") == 3 and "ISIC 2016" in latex and "PH2" in latex
    error = bench(*run, "--datasets", "kvasir", "--split", "paper-skin", "--data-root", str(root), code=2).stderr
    assert "split 'paper-skin' has no dataset 'kvasir'" in error
