"""Finding and reading others' maps: folders, types of numbers, channels, and faults by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.scoring.map_folders import FOLDER_NAMES, collect, find_folder

KVASIR = ("kvasir", *FOLDER_NAMES["kvasir"])


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path.parent


@pytest.mark.parametrize(
    "file",
    [
        "a.png",
        "Kvasir/a.png",
        "PraNet/Kvasir/a.png",
        "PraNet/kvasir-seg/a.jpg",
        "PraNet/KVASIR SEG/maps/a.npy",
        "Kvasir/PraNet/a.png",
        "Kvasir/PraNet/Kvasir/a.png",
        "some/deep/folder/a.png",
    ],
)
def test_any_nesting_by_dataset(tmp_path: Path, file: str) -> None:
    expected = touch(tmp_path / file)
    (tmp_path / "__MACOSX").mkdir()
    for other in ("CVC-300", "ETIS-LaribPolypDB"):
        if "Kvasir" in file and file.startswith("PraNet"):
            touch(tmp_path / "PraNet" / other / "a.png")
    assert find_folder(tmp_path, KVASIR) == expected


def test_folders_that_do_not_answer(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="not a folder"):
        find_folder(tmp_path / "none", KVASIR)
    touch(tmp_path / "results" / "CVC-300" / "a.png")
    with pytest.raises(BenchError, match="no folder named"):
        find_folder(tmp_path / "results", KVASIR)  # another dataset's maps are not taken for Kvasir's
    touch(tmp_path / "two" / "A" / "Kvasir" / "a.png")
    touch(tmp_path / "two" / "B" / "Kvasir" / "a.png")
    with pytest.raises(BenchError, match="several folders for kvasir"):
        find_folder(tmp_path / "two", KVASIR)


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Four images' masks, 12 x 16."""
    mask = np.zeros((12, 16), np.uint8)
    mask[3:8, 4:11] = 255
    (tmp_path / "masks").mkdir()
    (tmp_path / "maps").mkdir()
    found = []
    for i in range(4):
        path = tmp_path / "masks" / f"m{i}.png"
        Image.fromarray(mask).save(path)
        found.append(Item("mine", f"m{i}", path, path, f"m{i}"))
    return found


LEVELS = (np.arange(12 * 16).reshape(12, 16) % 256).astype(np.uint8)


def test_each_type_of_number_has_its_own_scale(items: list[Item], tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    Image.fromarray(LEVELS).save(maps / "m0.png")
    np.save(maps / "m1.npy", LEVELS / 255)
    Image.fromarray(LEVELS.astype(np.uint16) * 257).save(maps / "m2.png")
    np.save(maps / "m3.npy", (LEVELS / 191).astype(np.float32)[None, ..., None])
    found = collect(maps, items)
    assert found.faults == {} and found.scales == {"8-bit": 255.0, "float": 1.0, "whole": 65535.0}
    np.testing.assert_array_equal(found.read(maps / "m0.png"), LEVELS)
    for name in ("m1.npy", "m2.png"):
        np.testing.assert_allclose(found.read(maps / name), LEVELS / 255, atol=1e-12)


def test_binary_maps_of_zero_and_one(items: list[Item], tmp_path: Path) -> None:
    for i in range(4):
        Image.fromarray(np.greater(LEVELS, 90 + i).astype(np.uint8)).save(tmp_path / "maps" / f"m{i}.png")
    found = collect(tmp_path / "maps", items)
    assert found.scales == {"8-bit": 1.0} and "1 is read as probability 1" in found.describe()[0]
    assert found.read(tmp_path / "maps" / "m0.png").max() == 1.0


def test_channels(items: list[Item], tmp_path: Path) -> None:
    maps, grey = tmp_path / "maps", LEVELS[..., None]
    Image.fromarray(np.repeat(grey, 3, 2)).save(maps / "m0.png")
    Image.fromarray(np.concatenate([np.repeat(grey, 3, 2), np.full_like(grey, 255)], 2)).save(maps / "m1.png")
    Image.fromarray(np.concatenate([np.repeat(grey, 3, 2), grey], 2)).save(maps / "m2.png")
    Image.fromarray(np.concatenate([grey, grey, 255 - grey], 2)).save(maps / "m3.png")
    found = collect(maps, items)
    assert set(found.paths) == {"m0", "m1"}
    assert found.faults["alpha varies"][0].startswith("m2.png") and found.faults["coloured"][0].startswith("m3.png")
    np.testing.assert_array_equal(found.read(maps / "m1.png"), LEVELS)


def test_jpeg_maps_grey_and_rgb(items: list[Item], tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    Image.fromarray(LEVELS).save(maps / "m0.jpg", quality=100)
    Image.fromarray(np.repeat(LEVELS[..., None], 3, 2)).save(maps / "m1.JPEG", quality=100)
    found = collect(maps, items)
    assert set(found.paths) == {"m0", "m1"} and found.faults == {"missing": ["m2", "m3"]}
    assert int(np.abs(found.read(maps / "m0.jpg").astype(int) - LEVELS).max()) <= 4


def test_every_fault_at_once_is_listed_by_name(items: list[Item], tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    Image.fromarray(LEVELS.T.copy()).save(maps / "m0.png")
    (maps / "m1.png").write_bytes(b"\x89PNG broken")
    np.save(maps / "m2.npy", np.full((12, 16), np.nan))
    Image.fromarray(LEVELS).save(maps / "m9.png")
    (tmp_path / "masks" / "m3.png").write_bytes(b"no mask")
    found = collect(maps, items)
    assert found.paths == {}
    text = "\n".join(found.describe())
    for words in (
        "wrong size (1): m0.png (12x16, its mask is 16x12)",
        "unreadable (1): m1.png",
        "NaN (1): m2.npy",
        "surplus (1): m9.png",
        "unusable mask (1): m3.png",
    ):
        assert words in text
    Image.fromarray(LEVELS).save(maps / "m1.jpg")
    with pytest.raises(BenchError, match=r"two maps for m1: m1\.jpg and m1\.png"):
        collect(maps, items)


def _two_valued(folder: Path, *highs: int) -> None:
    for i, high in enumerate(highs):
        Image.fromarray((np.greater(LEVELS, 90 + i) * high).astype(np.uint8)).save(folder / f"m{i}.png")


@pytest.mark.parametrize(
    ("highs", "refused"),
    [((2, 2, 2, 2), 4), ((100, 100, 100, 100), 4), ((255, 1, 255, 255), 1), ((255, 128, 255, 1), 2), ((255,) * 4, 0)],
)
def test_labels_on_an_unclear_scale_are_refused(
    items: list[Item], tmp_path: Path, highs: tuple[int, ...], refused: int
) -> None:
    _two_valued(tmp_path / "maps", *highs)
    found = collect(tmp_path / "maps", items)
    assert len(found.paths) == 4 - refused
    named = [name for kind, names in found.faults.items() if kind.startswith("labels") for name in names]
    assert named == [f"m{i}.png (0 and {high})" for i, high in enumerate(highs) if refused and high < 255]


def test_soft_maps_on_a_low_scale_and_maps_of_ones_are_remarked_on(items: list[Item], tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    for i in range(4):
        Image.fromarray(LEVELS // 2).save(maps / f"m{i}.png")
    assert any(f"reach {LEVELS.max() // 2} of 255 at most" in line for line in collect(maps, items).describe())
    Image.fromarray(LEVELS).save(maps / "m0.png")
    Image.fromarray((LEVELS > 90).astype(np.uint8)).save(maps / "m1.png")
    lines = collect(maps, items).describe()
    assert [line for line in lines if "read as 0 and 1/255: m1.png" in line] and len(lines) == 1


def test_constant_maps_are_predictions(items: list[Item], tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    _two_valued(maps, 255, 0, 255, 0)
    found = collect(maps, items)
    assert len(found.paths) == 4 and found.faults == {}
    assert found.describe() == ["constant maps (2) are scored unchanged: m1.png, m3.png"]


def test_an_array_of_two_classes_is_explained(items: list[Item], tmp_path: Path) -> None:
    for i in range(4):
        np.save(tmp_path / "maps" / f"m{i}.npy", np.stack([1 - LEVELS / 255, LEVELS / 255]))
    found = collect(tmp_path / "maps", items)
    assert found.paths == {} and "save the polyp's probability alone" in found.faults["two channels"][0]


def test_names_with_composed_and_decomposed_accents_meet(items: list[Item], tmp_path: Path) -> None:
    one = replace(items[0], id="caf\u00e9")
    Image.fromarray(LEVELS).save(tmp_path / "maps" / "cafe\u0301.png")
    assert set(collect(tmp_path / "maps", [one]).paths) == {"caf\u00e9"}
