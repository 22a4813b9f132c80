"""A dataset of one's own through the installed command: check, train, tabulate, score maps, show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from harness import TINY, Bench
from PIL import Image

MANIFEST = """
name = "clinic"
title = "Our clinic"
images = "frames/*.png"
masks = "labels/*_seg.png"
mask_id = "(?P<id>.+)_seg"
mask_threshold = 0
channels = "bgr"
expected = 40
[group]
regex = "^(?P<group>s[0-9]+)-"
"""


def clinic(shared_cache: Path, home: Path) -> None:
    """Drawn images stored in an awkward way: colours reversed, labels 0 and 1."""
    source = next(shared_cache.glob("phantom-v*")) / "phantom-etis"
    for folder in ("frames", "labels"):
        (home / folder).mkdir(parents=True)
    for image in sorted((source / "images").iterdir()):
        Image.fromarray(np.asarray(Image.open(image))[..., ::-1]).save(home / "frames" / image.name)
        labels = (np.asarray(Image.open(source / "masks" / image.name)) > 127).astype(np.uint8)
        Image.fromarray(labels).save(home / "labels" / f"{image.stem}_seg.png")
    (home / "clinic.toml").write_text(MANIFEST)


def test_a_manifest_stands_where_a_name_does(bench: Bench, shared_cache: Path, tmp_path: Path) -> None:
    bench("data", "check", "phantom-etis")
    clinic(shared_cache, tmp_path / "site")
    report = json.loads(bench("data", "check", "site/clinic.toml", "--json").stdout)[0]
    assert (report["name"], report["num_images"], report["num_groups"], report["faults"]) == ("clinic", 40, 9, [])
    run = ("run", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first")
    done = bench(*run, "--datasets", "site/clinic.toml", "--split", "grouped")
    assert "Our clinic" in done.stdout
    record = json.loads(next((tmp_path / "results" / "runs").rglob("run.json")).read_text())
    assert list(record["tests"]) == ["clinic"] and record["tests"]["clinic"]["num_leaked"] == 0
    maps = tmp_path / "maps"
    maps.mkdir()
    for label in (tmp_path / "site" / "labels").iterdir():
        Image.fromarray(np.asarray(Image.open(label)) * np.uint8(255)).save(maps / label.name.replace("_seg", ""))
    scored = bench("evaluate", "--predictions", "maps", "--dataset", "site/clinic.toml", "--name", "Truth", "-q")
    assert "Truth on clinic (40 images" in scored.stdout and "dice_half 1.0000" in scored.stdout
    shown = json.loads(bench("data", "show", "site/clinic.toml", "--num", "5", "--json", "-q").stdout)
    assert shown["num_images"] == 40 and len(shown["shown"]) == 5 and shown["num_groups"] == 9
    with Image.open(tmp_path / "show-clinic.png") as sheet:
        assert sheet.width > 1000
    error = bench("data", "show", "phantom", code=2).stderr
    assert error.startswith("error: phantom is a group: show one of phantom-kvasir")
    shutil.rmtree(tmp_path / "site" / "labels")
    error = bench(*run, "--datasets", "site/clinic.toml", code=2).stderr
    assert error.startswith("error: manifest ") and "no image file matches" in error
