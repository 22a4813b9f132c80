"""Troubles that people reported about tables, maps and recipes, each through the installed `bench`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from harness import NET, TINY, Bench
from made_results import make_record, write_results
from PIL import Image

from benchmark.api import load_results
from benchmark.store import io
from benchmark.store.layout import ResultsLayout


def disc(side: int, radius: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (y - side / 2) ** 2 + (x - side / 2) ** 2 < radius**2


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """Four masks, and maps of 0 and 255."""
    for folder in ("masks", "maps"):
        (tmp_path / folder).mkdir()
        for k in range(4):
            Image.fromarray(disc(40, 8 + k).astype(np.uint8) * 255).save(tmp_path / folder / f"m{k}.png")
    return tmp_path


CALL = ("evaluate", "--predictions", "maps", "--masks", "masks", "--name", "Theirs")


def test_maps_of_0_and_1_among_maps_of_0_and_255_are_refused_by_name(bench: Bench, four: Path) -> None:
    Image.fromarray(disc(40, 9).astype(np.uint8)).save(four / "maps" / "m1.png")
    refused = bench(*CALL, code=2).stderr
    assert "labels other than 0 and 1 or 0 and 255 (1): m1.png (0 and 1)" in refused


def test_0_to_100_is_read_as_n_of_255_with_a_note(bench: Bench, four: Path) -> None:
    for path in (four / "maps").iterdir():
        Image.fromarray(np.linspace(0, 100, 1600).reshape(40, 40).astype(np.uint8)).save(path)
    assert "8-bit maps reach 100 of 255 at most: multiply them" in bench(*CALL).stderr


def test_arrays_of_two_classes_are_told_from_pictures(bench: Bench, four: Path) -> None:
    prob = disc(40, 9).astype(np.float32)
    (four / "maps" / "m1.png").unlink()
    np.save(four / "maps" / "m1.npy", np.stack([1 - prob, prob]))
    refused = bench(*CALL, code=2).stderr
    assert "two channels (1): m1.npy" in refused and "save the polyp's probability alone, as (H, W)" in refused


def test_a_network_of_ones_own_that_takes_no_pretrained_is_told_how_to_go_on(bench: Bench, tmp_path: Path) -> None:
    run = ("run", "--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--dry-run", "--no-time-first")
    run += ("--recipe",)
    error = bench(*run, "smoke", *TINY, "--set", "pretrained=true", code=2).stderr.splitlines()[-1]
    assert "build() takes no pretrained" in error and "[models.file] with pretrained = false" in error
    (tmp_path / "mine.toml").write_text("pretrained = true\nimage_size = 64\n[models.file]\npretrained = false\n")
    bench(*run, "mine.toml")
    (tmp_path / "tiny_net.py").write_text(NET.replace("def build():", "def build(pretrained=False):"))
    bench(*run, "smoke", *TINY, "--set", "pretrained=true")


def test_tables_say_a_reason_once_rename_rows_and_shorten_captions(bench: Bench, tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", {"unet": 0.7, "bsanet": 0.8}, sets={"kvasir": 8, "etis": 8})
    failed = make_record("pranet", tests={}, status="failed", error="no memory")
    io.write_record(ResultsLayout(results).cell(failed.cell), failed)
    done = bench("tables", "--title", "bsanet=Ours", "--short-captions").stdout
    assert done.count("no memory") == 1 and done.count("| PraNet |") == 2, "one blank row a table, said once"
    assert done.count("| Ours |") == 2 and "BSANet (ours)" not in done
    captions = [line for line in done.splitlines() if line.startswith("Results on")]
    assert len(captions) == 2 and all(caption.count(". ") == 0 for caption in captions)
    assert "Protocol" in done, "the details are in a note"
    assert (results / "tables" / "table-etis.md").read_text().count("no memory") == 1, "each file says it itself"


def test_the_readmes_pivot_takes_two_seeds(bench: Bench, tmp_path: Path) -> None:
    write_results(tmp_path / "results", {"unet": 0.7, "bsanet": 0.8}, sets={"kvasir": 8}, seeds=(0, 1))
    scores = load_results(tmp_path / "results")
    means = scores.pivot_table(index="dataset", columns="title", values="mDSC")
    assert len(scores) == 4 and means.shape == (1, 2) and means.notna().all(axis=None)


def test_a_tuned_recipe_counts_the_images_that_were_used_and_names_its_short_budget(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "space.toml").write_text('[search.loss]\nchoices = ["bce"]\n')
    tune = ("tune", "--models", "./tiny_net.py:build", "--trials", "1", "--datasets", "phantom-kvasir")
    fields = ("epochs=1", "image_size=64", "max_train_images=16", "max_val_images=4")
    bench(*tune, "--recipe", "smoke", "--space", "space.toml", *(w for f in fields for w in ("--set", f)))
    head = (tmp_path / "results" / "tuning" / "tuned.toml").read_text()
    info = json.loads(bench("run", "--datasets", "phantom-kvasir", "--recipe", "smoke", "--dry-run", "--json").stdout)
    assert f"16 of {info['split']['num_train']} training and 4 of {info['split']['num_val']} validation images" in head
    assert "# epochs = 1, max_train_images = 16, max_val_images = 4: the tuning's own" in head
