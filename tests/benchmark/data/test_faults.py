"""The faults and traps that the datasets are known for, each on a generated file; those on real files are in
``test_real_data.py``.

1 odd TIFFs and grey masks, 2 JPEG masks, 3 a set within a set, 4 frames with equal pixels, 5 a sequence on both sides,
6 maps that a publication lacks, 7 strays and orphans, 8 a set that the text forgets and the table tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmark.data.audit.check import check_dataset
from benchmark.data.audit.leaks import find_leaks
from benchmark.data.files.decode import decode_image
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.splits.choose import make_split
from benchmark.display.progress import QuietDisplay
from benchmark.errors import BenchError
from benchmark.metrics import get_protocol
from benchmark.scoring.map_records import evaluate_maps, listed_set

Maker = Callable[..., None]


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(root.rglob("*"))}


def test_1_odd_tiffs_and_grey_masks(tmp_path: Path, rng: np.random.Generator) -> None:
    """Pillow refuses three samples tagged BlackIsZero; check says what they are, and what a threshold does."""
    home = tmp_path / "CVC-ClinicDB"
    (home / "Original").mkdir(parents=True)
    (home / "Ground Truth").mkdir()
    colour = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    grey = np.zeros((12, 16), np.uint8)
    grey[:4], grey[4] = 255, 90
    for number in (1, 2):
        tifffile.imwrite(home / "Original" / f"{number}.tif", colour, photometric="minisblack", planarconfig="contig")
        tifffile.imwrite(home / "Ground Truth" / f"{number}.tif", grey, photometric="minisblack")
    with pytest.raises(OSError):
        Image.open(home / "Original" / "1.tif").load()
    np.testing.assert_array_equal(decode_image(home / "Original" / "1.tif"), colour)
    before = snapshot(tmp_path)
    report = check_dataset("clinicdb", tmp_path)
    assert report.image_kinds == {"TIFF 3x8 BlackIsZero": 2}
    assert (report.num_grey_masks, report.max_threshold_effect) == (2, pytest.approx(16 / 192))
    assert "> 0 and > 127 differ in up to 8.3% of a mask's pixels" in report.to_text()
    assert snapshot(tmp_path) == before


def test_2_jpeg_masks_are_cut_at_127(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "Kvasir-SEG"
    make_pairs(home / "images", home / "masks", ["cju1", "cju2"], "{}.jpg", "{}.jpg")
    for path in (home / "masks").iterdir():
        shape = np.zeros((64, 80), np.uint8)
        shape[10:40, 20:60] = 255
        Image.fromarray(shape).save(path, quality=60)
        noise = np.random.default_rng(len(path.name)).integers(0, 256, (64, 80, 3), np.uint8)
        Image.fromarray(noise).save(home / "images" / path.name)
    report = check_dataset("kvasir", tmp_path)
    assert len(report.faults) == 1 and report.num_grey_masks == 2 and report.max_threshold_effect > 0
    assert len(report.hashes) == 2 and json.dumps(asdict(report))


def test_3_and_4_a_set_within_a_set_and_equal_frames(tmp_path: Path, make_pairs: Maker) -> None:
    """CVC-300 is ColonDB 149-208, and some frames of ColonDB are one image: `paper` leaks, `grouped` does not."""
    colondb = tmp_path / "CVC-ColonDB"
    make_pairs(colondb, colondb, [str(n) for n in range(100, 300)], "{}.tiff", "p{}.tiff")
    make_pairs(tmp_path / "CVC-ClinicDB/Original", tmp_path / "CVC-ClinicDB/Ground Truth", map(str, range(1, 104)))
    for twin in (299, 298):  # beyond the clusters that are known by number
        (colondb / f"{twin}.tiff").write_bytes((colondb / "101.tiff").read_bytes())
    groups = {item.id: item.group for item in list_dataset("colondb", tmp_path)}
    assert groups["298"] == groups["299"] != groups["101"] == groups["139"] == groups["108"]
    inside = {item.id: item for item in list_dataset("cvc300", tmp_path)}
    assert len(inside) == 60 and all(groups[name] == item.group for name, item in inside.items())
    names = ["colondb", "endoscene"]
    leaks = find_leaks(make_split("paper", names, root=tmp_path), cache_dir=tmp_path / "cache")
    assert {leak.kind for leak in leaks["endoscene"]} >= {"exact"} and leaks["colondb"]
    grouped = make_split("grouped", names, root=tmp_path)
    assert find_leaks(grouped, cache_dir=tmp_path / "cache") == {"colondb": [], "endoscene": []}


def test_5_pranets_split_tests_on_sequences_that_train(bundle_root: Path) -> None:
    split = make_split("pranet", ["clinicdb"], root=bundle_root)
    trained = {item.group for item in split.train + split.val if item.dataset == "clinicdb"}
    tested = [item.group for item in split.tests["clinicdb"]]
    assert len(tested) == 62 and set(tested) <= trained and len(trained) == 29


def test_6_published_maps_of_colondb_lack_some(bundle_root: Path, tmp_path: Path) -> None:
    """359 of 380: refused with the names, scored on request as 359 of 380."""
    from rich.console import Console

    maps = tmp_path / "maps" / "CVC-ColonDB"
    maps.mkdir(parents=True)
    source = bundle_root / "TestDataset" / "CVC-ColonDB" / "masks"
    for number in (*range(1, 77), *range(98, 381)):
        (maps / f"{number}.png").hardlink_to(source / f"{number}.png")
    said = Console(file=(tmp_path / "said.txt").open("w"), width=10_000)

    def score(*, allow_partial: bool):
        return evaluate_maps(
            tmp_path / "maps",
            [listed_set("colondb", root=bundle_root)],
            name="PraNet",
            results=tmp_path / "results",
            protocols=[get_protocol("half")],
            engine="fast",
            allow_partial=allow_partial,
            cache_dir=tmp_path / "cache",
            events=QuietDisplay(said),
        )

    with pytest.raises(BenchError, match="21 missing"):
        score(allow_partial=False)
    said.file.flush()
    assert ", ".join(map(str, range(77, 98))) in (tmp_path / "said.txt").read_text()
    result = score(allow_partial=True).tests["colondb"]
    assert (result.n, result.of) == (359, 380)


def test_7_strays_are_named_and_orphans_refused(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "Kvasir-SEG"
    make_pairs(home / "images", home / "masks", ["cju1", "cju2"])
    for stray in ("Thumbs.db", ".DS_Store"):
        (home / "images" / stray).write_bytes(b"stray")
    assert check_dataset("kvasir", tmp_path).strays == (".DS_Store", "Thumbs.db")
    (home / "masks" / "cju1.png").unlink()
    fault = check_dataset("kvasir", tmp_path).faults[0]
    assert fault == (
        f"image without mask in {home / 'images'}: cju1.png; add the mask in {home / 'masks'} or remove the image"
    )


def test_8_the_paper_split_tests_colondbs_remaining_images(bundle_root: Path) -> None:
    split = make_split("paper", ["polyp"], root=bundle_root)
    tested = {item.id for item in split.tests["colondb"]}
    trained = {item.id for item in split.train + split.val if item.dataset == "colondb"}
    assert len(tested) == 76 and not tested & trained and len(tested | trained) == 380


def test_swapped_folders_are_one_fault(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "Kvasir-SEG"
    make_pairs(home / "masks", home / "images", [f"cju{n}" for n in range(5)], "{}.png", "{}.png")
    faults = check_dataset("kvasir", tmp_path).faults
    assert len(faults) == 2 and "5 images found, 1000 expected" in faults[0]
    assert faults[1] == (
        f"5 pairs look swapped: masks are in {home / 'images'} and images in {home / 'masks'}; exchange the two folders"
    )
