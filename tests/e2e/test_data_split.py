"""`bench data split --export` and `bench run --split FILE`: a split that travels, with its images named by content."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
from harness import TINY, Bench
from PIL import Image


def phantom_folder(shared_cache: Path, target: Path) -> Path:
    """A data root with a dataset of one's own, made of drawn images."""
    source = next(shared_cache.glob("phantom-v*")) / "phantom-etis"
    shutil.copytree(source, target / "clinic")
    return target


def test_export_elsewhere_import_and_a_changed_image(bench: Bench, shared_cache: Path, tmp_path: Path) -> None:
    bench("data", "check", "phantom-etis")
    root = phantom_folder(shared_cache, tmp_path / "data")
    drawn = bench("data", "split", "paper", "--datasets", "clinic", "--data-root", str(root), "--export", "p.json")
    header, row = (line.split("\t") for line in drawn.stdout.splitlines())
    assert header == ["dataset", "train", "val", "test", "groups"] and row == ["clinic", "28", "4", "8", "40"]
    first = (tmp_path / "p.json").read_bytes()
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    bench("data", "split", "paper", "--datasets", "clinic", "--data-root", str(moved), "--export", "q.json")
    assert (tmp_path / "q.json").read_bytes() == first and str(tmp_path) not in first.decode()
    run = ("run", "--models", "./tiny_net.py:build", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first")
    plan = json.loads(bench(*run, "--datasets", "clinic", "--data-root", str(root), "--dry-run", "--json").stdout)
    bench(*run, "--split", "p.json", "--data-root", str(moved))
    record = json.loads(next((tmp_path / "results" / "runs").rglob("run.json")).read_text())
    assert record["split"] == plan["split"] and [record["cell"]] == plan["cells"]
    scores = pd.read_parquet(next((tmp_path / "results" / "runs").rglob("scores.parquet")))
    hashes = {name: content for _, name, content in json.loads(first)["tests"]["clinic"]}
    assert len(scores) and all(hashes[row.id] == row.content for row in scores.itertuples())
    kept = json.loads(next((tmp_path / "results" / "splits").glob("paper-*.json")).read_text())
    assert kept == json.loads(first)
    victim = sorted((moved / "clinic" / "images").iterdir())[3]
    Image.new("RGB", Image.open(victim).size).save(victim)
    error = bench(*run, "--split", "p.json", "--data-root", str(moved), code=2).stderr
    assert f"error: {victim} or its mask differs in content from split file p.json" in error
    victim.unlink()
    (moved / "clinic" / "masks" / victim.name).unlink()
    error = bench("data", "split", "p.json", "--data-root", str(moved), code=2).stderr
    assert f"not on disk: clinic/{victim.stem}" in error
    assert "39 of the 40" in bench("data", "split", "p.json", "--data-root", str(moved), "--allow-missing").stderr
