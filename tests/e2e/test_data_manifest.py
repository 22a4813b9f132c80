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


CLIPS = """
name = "clips"
images = "frames/*/*.png"
masks = "labels/*/*.png"
match = "path"
image_id = "frames/(?P<prefix>[^/]+)/(?P<id>.+)"
mask_id = "labels/(?P<prefix>[^/]+)/(?P<id>.+)"
"""


def test_maps_in_clips_that_repeat_names(bench: Bench, tmp_path: Path) -> None:
    """Frames v1/f1 and v2/f1: their maps lie as they do, or flat under the images' ids; a clip too many is named."""
    rng = np.random.default_rng(0)
    for clip in ("v1", "v2"):
        for name in ("f1", "f2"):
            for folder, pixels in (
                ("frames", rng.integers(0, 255, (16, 20, 3), dtype=np.uint8)),
                ("labels", np.where(rng.random((16, 20)) < 0.4, 255, 0).astype(np.uint8)),
            ):
                (tmp_path / "site" / folder / clip).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / "site" / folder / clip / f"{name}.png")
    (tmp_path / "site" / "clips.toml").write_text(CLIPS)
    shutil.copytree(tmp_path / "site" / "labels", tmp_path / "maps" / "clips")
    call = ("evaluate", "--dataset", "site/clips.toml", "-q")
    for given in ("maps", "maps/clips"):
        scored = bench(*call, "--predictions", given, "--name", given.replace("/", "-"))
        assert "on clips (4 images" in scored.stdout and "dice_half 1.0000" in scored.stdout
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (tmp_path / "maps" / "clips").rglob("*.png"):
        shutil.copy(path, flat / f"{path.parent.name}-{path.name}")
    assert "dice_half 1.0000" in bench(*call, "--predictions", "flat", "--name", "flat").stdout
    shutil.copytree(tmp_path / "maps" / "clips" / "v2", tmp_path / "maps" / "clips" / "v2" / "again")
    done = bench(*call, "--predictions", "maps/clips", "--name", "more", code=2)
    assert "several folders hold maps" in done.stderr and "v2/again" in done.stderr
