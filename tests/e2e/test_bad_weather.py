"""Folders, files and clocks as they really are: a study runs on them, or one line says why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from harness import TINY, Bench
from PIL import Image

COUNT = 10


def draw(i: int, height: int = 60, width: int = 80) -> tuple[Image.Image, Image.Image]:
    """An image with a bright disc and its mask."""
    y, x = np.mgrid[:height, :width]
    mask = ((x / width - 0.3 - i / 40) ** 2 + (y / height - 0.5) ** 2 < 0.05).astype(np.uint8) * 255
    noise = np.random.default_rng(i).integers(0, 60, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise + (mask[..., None] // 2)), Image.fromarray(mask)


def make(root: Path, count: int = COUNT, name: str = "k{}") -> Path:
    """A data root with one dataset of one's own, ``own``; returns the dataset's folder."""
    for kind in ("images", "masks"):
        (root / "own" / kind).mkdir(parents=True)
    for i in range(count):
        image, mask = draw(i)
        image.save(root / "own" / "images" / f"{name.format(i)}.png")
        mask.save(root / "own" / "masks" / f"{name.format(i)}.png")
    return root / "own"


def run(bench: Bench, root: Path, *extra: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    fixed = ("run", "--models", "./tiny_net.py", "--datasets", "own", "--data-root", str(root), "--recipe", "smoke")
    return bench(*fixed, *TINY, "--split", "paper", "--no-track", *extra, code=code, **variables)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(word in errors[0] for word in words), errors[0]


def state(root: Path) -> dict[str, tuple[float, int]]:
    return {str(path): (path.stat().st_mtime, path.stat().st_size) for path in sorted(root.rglob("*"))}


def test_data_is_only_read(bench: Bench, tmp_path: Path) -> None:
    root = make(tmp_path / "data").parent
    before = state(root)
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", str(root), str(root)], capture_output=True).returncode == 0
    try:
        if mounted:
            subprocess.run(["mount", "-o", "remount,bind,ro", str(root)], capture_output=True)
        run(bench, root)
        bench("data", "check", "own", "--data-root", str(root))
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(root)], check=True)
    assert state(root) == before


def test_spaces_other_scripts_and_quotes_in_every_path(bench: Bench, tmp_path: Path) -> None:
    root = make(tmp_path / "Dätä of 'us' $HOME; 数据", name='Bild "{}" ü 图²').parent
    results = "Ergebnisse – été & 結果"
    run(bench, root, "--results", results, PYTHONIOENCODING="ascii")
    for command in ("tables", "report", "plots"):
        bench(command, "--results", results, *(() if command == "tables" else ("--data-root", str(root))))
    assert 'Bild "' in " ".join(path.name for path in (tmp_path / results / "runs").rglob("*.png"))


def test_names_that_no_results_could_bear_are_refused(bench: Bench, tmp_path: Path) -> None:
    for name in (b"a\xff{}.png", b"a\x1b[2J{}.png", b"a\n{}.png"):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        folder = make(tmp_path / "data")
        for kind in ("images", "masks"):
            first = folder / kind / "k0.png"
            first.rename(first.with_name(os.fsdecode(name.replace(b"{}", b"1"))))
        done = run(bench, folder.parent, code=2)
        refused(done, "file name", "rename")
        assert "\x1b" not in done.stderr


def test_links_are_followed_and_loops_end(bench: Bench, tmp_path: Path) -> None:
    folder = make(tmp_path / "elsewhere")
    root = tmp_path / "data"
    (root / "own").mkdir(parents=True)
    (root / "own" / "images").symlink_to(folder / "images")
    (root / "own" / "masks").mkdir()
    for path in (folder / "masks").iterdir():
        (root / "own" / "masks" / path.name).symlink_to(path)
    (root / "loop").symlink_to(root)
    (folder / "images" / "loop.png").symlink_to("loop.png")
    (folder / "images" / "nowhere.png").symlink_to("gone.png")
    run(bench, root)
    (tmp_path / "own.toml").write_text(
        'name = "linked"\nroot = "data"\nimages = "**/images/*.png"\nmasks = "**/masks/*.png"\n'
    )
    assert "images       10" in bench("data", "check", "own.toml").stdout


def test_huge_and_tiny_images_and_those_of_every_kind(bench: Bench, tmp_path: Path) -> None:
    folder = make(tmp_path / "data")
    images, masks = folder / "images", folder / "masks"
    for name, side in (("k0", 8), ("k1", 4000)):
        image, mask = draw(0, side, side)
        image.save(images / f"{name}.png")
        mask.save(masks / f"{name}.png")
    image, _ = draw(2)
    image.quantize(64).save(images / "k2.png")
    draw(3)[0].convert("CMYK").save(images / "k3.jpg", quality=95)
    (images / "k3.png").unlink()
    (images / "k4.png").unlink()
    tifffile.imwrite(
        images / "k4.tif", np.asarray(draw(4)[0]).astype(np.uint16) * 257, photometric="rgb", metadata=None
    )
    draw(5)[0].quantize(64).save(images / "k5.gif", save_all=True, append_images=[draw(6)[0].quantize(64)])
    (images / "k5.gif").rename(images / "k5.png")
    Image.fromarray(np.asarray(draw(6)[1]).astype(np.uint16) * 257).save(masks / "k6.png")
    draw(7)[0].convert("LA").save(images / "k7.png")
    run(bench, folder.parent)
    assert "10" in bench("data", "check", "own", "--data-root", str(folder.parent)).stdout


@pytest.mark.parametrize("damage", ["bomb", "zero bytes", "cut"])
def test_what_is_no_picture_is_named_before_training(bench: Bench, tmp_path: Path, damage: str) -> None:
    folder = make(tmp_path / "data")
    victim = folder / "images" / "k5.png"
    if damage == "bomb":
        head = bytearray(victim.read_bytes())
        head[16:24] = (200_000).to_bytes(4, "big") * 2
        head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
        victim.write_bytes(head)
    else:
        victim.write_bytes(victim.read_bytes()[: 0 if damage == "zero bytes" else 400])
    refused(run(bench, folder.parent, code=2), "k5.png")
    assert not list(tmp_path.rglob("best.pt"))


def test_ten_thousand_files(bench: Bench, tmp_path: Path) -> None:
    """Links to ten pictures: what is tried is the folders and their names (growth: tests/perf/bad_weather.py)."""
    folder = make(tmp_path / "data")
    for kind in ("images", "masks"):
        for i in range(COUNT, 10_000):
            os.link(folder / kind / f"k{i % COUNT}.png", folder / kind / f"k{i}.png")
    data = ("--datasets", "own", "--data-root", str(folder.parent))
    assert "10000" in bench("data", "split", "paper", *data).stdout.replace(",", "")
    (folder / "images" / "k9999.png").unlink()
    refused(
        bench("data", "split", "paper", "--datasets", "own", "--data-root", str(folder.parent), code=2), "k9999.png"
    )


JUMPS = """
import itertools, time
_real, _count = time.time, itertools.count()
def _jumping():
    return _real() + (86400.0 * 400 if next(_count) % 3 == 1 else -86400.0 * 400 if next(_count) % 3 == 2 else 0.0)
time.time = _jumping
"""


def test_a_clock_that_jumps_by_years(bench: Bench, tmp_path: Path) -> None:
    """Every third look at the clock is a year ahead or behind; durations come from the steady clock."""
    root = make(tmp_path / "data").parent
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(JUMPS)
    path = os.pathsep.join(filter(None, [str(tmp_path / "clock"), os.environ.get("PYTHONPATH", "")]))
    run(bench, root, "--seeds", "0,1", PYTHONPATH=path)
    records = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("run.json")]
    assert [record["status"] for record in records] == ["ok", "ok"]
    assert all(0 <= seconds < 3600 for record in records for seconds in record["timing"].values())
