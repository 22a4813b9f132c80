"""Every mistake of a user: one line on standard error, exit code 2, nothing half-written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from harness import TINY, Bench
from PIL import Image


def make_kvasir(root: Path, count: int = 12) -> Path:
    """A small data root in Kvasir-SEG's layout, drawn here."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / "Kvasir-SEG" / kind).mkdir(parents=True)
    for i in range(count):
        mask = np.zeros((60, 80), np.uint8)
        mask[10 + i : 40, 20:50] = 255
        image = rng.integers(0, 80, (60, 80, 3), np.uint8) + (mask[..., None] // 2)
        Image.fromarray(image.astype(np.uint8)).save(root / "Kvasir-SEG" / "images" / f"k{i:02}.jpg")
        Image.fromarray(mask).save(root / "Kvasir-SEG" / "masks" / f"k{i:02}.jpg")
    return root


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    for word in words:
        assert word in errors[0], errors[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--models", "bsnet"], ["did you mean 'bsanet'"]),
        (["run", "--datasets", "kvasr", "--data-root", "."], ["did you mean 'kvasir'"]),
        (["run", "--recipe", "smoky"], ["did you mean 'smoke'"]),
        (["run", "--set", "epohcs=3"], ["did you mean 'epochs'"]),
        (["run", "--set", "epochs=0", "--datasets", "phantom"], ["epochs"]),
        (["run", "--seeds", "a"], ["--seeds a", "whole numbers"]),
        (["run", "--if-exists", "maybe"], ["--if-exists", "'skip', 'resume', 'overwrite'", "bench run --help"]),
        (["run", "--engine", "slow"], ["'fast', 'reference'"]),
        (["run", "--workers", "0"], ["--workers", "equal to 1"]),
        (["run", "--datasets", "polyp"], ["--data-root", "BENCH_DATA_ROOT"]),
        (["run", "--datasets", "polyp", "--data-root", "nowhere"], ["nowhere", "does not exist"]),
        (["run", "--datasets", "kvasir", "--data-root", "."], ["kvasir", "datasets.simula.no", "--allow-missing"]),
        (["run", "--datasets", "phantom", "--split", "papr"], ["paper"]),
        (["run", "--datasets", "phantom", "--recipe", "smoke", "--device", "tpu"], ["--device tpu"]),
        (["run", "--models", "", "--datasets", "phantom"], ["nothing to run"]),
        (["run", "--datasets", "phantom", "--device", "cpu:3", "--models", "unet"], ["--device cpu:3"]),
        (["run", "--datasets", "phantom", "--set", "name=../../evil"], ["name"]),
        (["run", "--datasets", "phantom", "--set", "lr=inf"], ["lr"]),
        (["evaluate", "--model", "unet", "--checkpoint", "x", "--masks", "."], ["--dataset"]),
        (["tables"], ["results", "bench run"]),
        (["tables", "--results", "."], ["bench run"]),
        (["models", "unetx"], ["did you mean 'unet'"]),
        (["data", "check", "kvasr", "--data-root", "."], ["did you mean 'kvasir'"]),
    ],
)
def test_mistakes_are_one_line(bench: Bench, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    extra = ["--no-time-first"] if arguments[0] == "run" else []
    refused(bench(*arguments, *extra, code=2), *words)
    assert not list((tmp_path / "results").rglob("run.json"))


def test_unknown_option_exits_with_two(bench: Bench) -> None:
    refused(bench("run", "--modles", "unet", code=2), "--modles", "bench run --help")
    refused(bench("rum", code=2), "rum")


def _run_on(bench: Bench, root: Path, *extra: str, code: int = 2) -> subprocess.CompletedProcess[str]:
    fixed = ("run", "--models", "./tiny_net.py", "--datasets", "kvasir", "--data-root", str(root), "--recipe", "smoke")
    return bench(*fixed, *TINY, "--no-track", "--no-time-first", *extra, code=code)


def test_a_small_root_of_ones_own_runs(bench: Bench, tmp_path: Path) -> None:
    _run_on(bench, make_kvasir(tmp_path / "data"), code=0)


def test_an_image_without_mask_is_named(bench: Bench, tmp_path: Path) -> None:
    root = make_kvasir(tmp_path / "data")
    (root / "Kvasir-SEG" / "masks" / "k03.jpg").unlink()
    refused(_run_on(bench, root), "k03")


def test_a_mask_of_another_size_is_named(bench: Bench, tmp_path: Path) -> None:
    root = make_kvasir(tmp_path / "data")
    Image.new("L", (40, 40)).save(root / "Kvasir-SEG" / "masks" / "k04.jpg")
    refused(_run_on(bench, root), "k04", "40x40")


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_an_unreadable_image_is_named(bench: Bench, tmp_path: Path, damage: str) -> None:
    root = make_kvasir(tmp_path / "data")
    file = root / "Kvasir-SEG" / "images" / "k05.jpg"
    file.write_bytes({"truncated": file.read_bytes()[:700], "empty": b"", "text": b"no image"}[damage])
    refused(_run_on(bench, root), "k05")


def test_an_empty_folder_is_named(bench: Bench, tmp_path: Path) -> None:
    root = make_kvasir(tmp_path / "data")
    shutil.rmtree(root / "Kvasir-SEG" / "images")
    (root / "Kvasir-SEG" / "images").mkdir()
    refused(_run_on(bench, root), "images")


def test_allow_missing_runs_the_rest_and_leaves_a_blank_table(bench: Bench, tmp_path: Path) -> None:
    root = make_kvasir(tmp_path / "data")
    done = _run_on(bench, root, "--datasets", "kvasir,etis", "--allow-missing", code=0)
    etis = (tmp_path / "results" / "tables" / "table-etis.md").read_text()
    assert "ETIS" in etis and "polyp.grand-challenge.org" in etis and "ETIS" in done.stdout


def test_a_results_folder_that_cannot_be_written_is_refused_before_training(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(_run_on(bench, make_kvasir(tmp_path / "data"), "--results", "file/results"), "file/results", "cannot write")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line(bench: Bench, tmp_path: Path) -> None:
    """A results folder on a file system of 200 kB: the run stops with one line and leaves no half-written file."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        root = make_kvasir(tmp_path / "data")
        (small / "ballast").write_bytes(b"x" * 150_000)
        done = _run_on(bench, root, "--results", str(small / "results"))
        refused(done, "no space left")
        assert not list((small / "results").rglob(".*.json*"))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
