"""`bench data list` and `check`: what they find, and that they find every fault at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.audit.check import check_dataset
from benchmark.data.listing.datasets import DATASETS
from benchmark.data.listing.found import list_datasets
from benchmark.errors import BenchError

Maker = Callable[..., None]


def test_sound_dataset(bundle_root: Path) -> None:
    report = check_dataset("cvc300", bundle_root)
    assert report.ok
    assert (report.num_images, report.expected) == (60, 60)
    assert report.sizes == {"16x12": 60}
    assert (report.image_kinds, report.mask_kinds) == ({"PNG RGB": 60}, {"PNG L": 60})
    assert len(report.fingerprint) == 32
    assert report.to_text().startswith("CVC-300 (cvc300): ok\n  images       60 of 60\n")
    json.dumps(asdict(report))


def test_every_fault_is_named(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "Kvasir-SEG"
    make_pairs(home / "images", home / "masks", [f"cju{n}" for n in range(6)])
    (home / "images" / "cju1.png").write_bytes(b"")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(home / "masks" / "cju2.png")
    grey = np.zeros((12, 16), np.uint8)
    grey[:6, :8], grey[:3, :8] = 90, 255
    Image.fromarray(grey).save(home / "masks" / "cju3.png")
    Image.fromarray(np.zeros((12, 16), np.uint8)).save(home / "masks" / "cju4.png")
    (home / "images" / "Thumbs.db").touch()
    report = check_dataset("kvasir", tmp_path)
    assert not report.ok
    assert len(report.faults) == 3
    assert "6 images found, 1000 expected" in report.faults[0]
    assert "cju1.png: it is empty (0 bytes)" in report.faults[1]
    assert "cju2.png is 9x9" in report.faults[2]
    assert (report.num_grey_masks, report.num_empty_masks) == (1, 1)
    assert report.max_threshold_effect == pytest.approx(24 / 192)
    assert report.strays == ("Thumbs.db",)
    assert report.fingerprint == ""
    assert report.to_text().count("\n  fault ") == 3


def test_orphans_and_absence_are_faults(tmp_path: Path, make_pairs: Maker) -> None:
    assert "dataset 'kvasir' is missing" in check_dataset("kvasir", tmp_path).faults[0]
    home = tmp_path / "Kvasir-SEG"
    make_pairs(home / "images", home / "masks", ["cju1", "cju2"])
    (home / "masks" / "cju2.png").unlink()
    report = check_dataset("kvasir", tmp_path)
    assert "cju2.png" in report.faults[0]
    with pytest.raises(BenchError, match="does not exist"):
        check_dataset("kvasir", tmp_path / "nowhere")


def test_shared_folder_has_no_foreign_strays(tmp_path: Path, make_pairs: Maker) -> None:
    home = tmp_path / "CVC-ColonDB"
    make_pairs(home, home, ["1", "149"], "{}.tiff", "p{}.tiff")
    (home / "Thumbs.db").touch()
    assert check_dataset("cvc300", tmp_path).strays == ("Thumbs.db",)


def test_phantom_is_sound(shared_cache: Path) -> None:
    report = check_dataset("phantom-etis", cache_dir=shared_cache)
    assert report.ok, report.faults
    assert report.num_groups == 9


def test_list_says_found_partial_missing(tmp_path: Path, make_pairs: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    make_pairs(tmp_path / "Kvasir-SEG/images", tmp_path / "Kvasir-SEG/masks", ["cju1", "cju2"])
    (tmp_path / "CVC-ClinicDB").mkdir()
    rows = {row.name: row for row in list_datasets(tmp_path)}
    assert list(rows) == list(DATASETS)
    assert (rows["kvasir"].found, rows["kvasir"].note) == (True, "incomplete: 2 of 1000")
    assert rows["kvasir"].where == str(tmp_path / "Kvasir-SEG" / "images")
    assert (rows["etis"].found, rows["etis"].note) == (False, f"get it from {DATASETS['etis'].source}")
    assert "holds no images in a known layout" in rows["clinicdb"].note
    assert rows["phantom-etis"].found
    assert {row.name for row in list_datasets(None) if row.found} == {n for n in DATASETS if DATASETS[n].synthetic}
    with pytest.raises(BenchError, match="does not exist"):
        list_datasets(tmp_path / "nowhere")
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path))
    assert next(row for row in list_datasets() if row.name == "kvasir").found
