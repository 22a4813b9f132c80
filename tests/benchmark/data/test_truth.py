"""Masks of every kind that has one meaning are read, and told what kind they are; others are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.files import masks as truth
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError


def item_of(path: Path, **facts: int) -> Item:
    return Item("mine", path.stem, path, path, path.stem, **facts)  # type: ignore[arg-type]


def look_at_truth(path: Path) -> tuple[np.ndarray, list[str]]:
    return truth.look_at_truth(item_of(path))


def read_truth(path: Path) -> np.ndarray:
    return truth.read_truth(item_of(path))


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 8:25] = 255
    return mask


def save(path: Path, pixels: np.ndarray, **how: object) -> Path:
    Image.fromarray(pixels).save(path, **how)  # type: ignore[arg-type]
    return path


def test_kinds_of_masks(tmp_path: Path, mask: np.ndarray) -> None:
    soft = mask.copy()
    soft[5], soft[4, 8:25] = np.where(mask[5] > 0, 200, 0), 90
    np.save(tmp_path / "floats.npy", mask / 255)
    np.save(tmp_path / "bools.npy", mask > 0)
    cases = {
        "plain": (save(tmp_path / "plain.png", mask), []),
        "rgb": (save(tmp_path / "rgb.png", np.repeat(mask[..., None], 3, 2)), []),
        "labels": (save(tmp_path / "labels.png", mask // 255), ["0/1"]),
        "one bit": (save(tmp_path / "bit.png", mask > 0), ["1-bit"]),
        "one bit tiff": (save(tmp_path / "bit.tif", mask > 0), ["1-bit"]),
        "16 bits": (save(tmp_path / "deep.png", mask.astype(np.uint16) * 257), ["16-bit"]),
        "16 bits tiff": (save(tmp_path / "deep.tif", mask.astype(np.uint16) * 257), ["16-bit"]),
        "16-bit labels": (save(tmp_path / "d1.png", (mask // 255).astype(np.uint16)), ["16-bit", "0/1"]),
        "soft": (save(tmp_path / "soft.png", soft), ["soft"]),
        "jpeg": (save(tmp_path / "mask.jpg", mask, quality=95), []),
        "float array": (tmp_path / "floats.npy", []),
        "boolean array": (tmp_path / "bools.npy", ["0/1"]),
    }
    for name, (path, kinds) in cases.items():
        grey, found = look_at_truth(path)
        assert found == kinds, name
        assert grey.dtype == np.uint8
        np.testing.assert_array_equal(grey > 127, mask > 0, err_msg=name)
        np.testing.assert_array_equal(read_truth(path), grey)


def test_inverted_and_empty_masks_are_noticed(tmp_path: Path, mask: np.ndarray) -> None:
    assert look_at_truth(save(tmp_path / "a.png", 255 - mask))[1] == ["inverted"]
    assert look_at_truth(save(tmp_path / "b.png", mask * 0))[1] == ["empty"]
    large = mask.copy()
    large[2:-2, 2:-2] = 255  # a polyp that fills the picture, its border left out, is no inverted mask
    assert look_at_truth(save(tmp_path / "c.png", large))[1] == []


def test_what_has_no_single_meaning_is_refused_by_name(tmp_path: Path, mask: np.ndarray) -> None:
    colour = np.stack([mask, mask // 2, mask * 0], 2)
    alpha = np.dstack([np.zeros((30, 40, 3), np.uint8), mask])
    np.save(tmp_path / "wild.npy", mask.astype(float) * 3)
    for path, words in (
        (save(tmp_path / "colour.png", colour), "coloured"),
        (save(tmp_path / "alpha.png", alpha), "alpha channel only"),
        (save(tmp_path / "labels.png", mask // 64), "greatest value is 3"),
        (tmp_path / "wild.npy", "from 0 to 1 or to 255"),
        (tmp_path / "none.png", "cannot read image"),
    ):
        with pytest.raises(BenchError, match=words) as caught:
            read_truth(path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_a_threshold_that_the_dataset_states_is_kept(tmp_path: Path, mask: np.ndarray) -> None:
    path = save(tmp_path / "m.png", mask // 255 * 40)
    grey, kinds = truth.look_at_truth(item_of(path, mask_threshold=20))
    assert kinds == [] and set(np.unique(grey)) == {0, 255}


@pytest.mark.real_data
def test_real_masks_are_not_called_odd(data_root: Path) -> None:
    folder = data_root / "Kvasir-SEG" / "masks"
    if not folder.is_dir():
        pytest.skip("no Kvasir-SEG below BENCH_DATA_ROOT")
    for path in sorted(folder.iterdir())[:40]:
        assert look_at_truth(path)[1] == [], path.name
