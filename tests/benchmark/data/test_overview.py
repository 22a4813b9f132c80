"""`bench data show`: the outline lies on the mask's edge, the figures agree with OpenCV's, the file is whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmark.data.listing.datasets import list_dataset
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.report.figures.contact_sheet import TILE_PX, contact_sheet, outlined, save_sheet, spread, survey


def test_figures_agree_with_opencv(shared_cache: Path) -> None:
    items = list_dataset("phantom-colondb", cache_dir=shared_cache)
    found = survey("phantom-colondb", items)
    masks = [cv2.imread(str(item.mask_path), cv2.IMREAD_GRAYSCALE) > 127 for item in items]
    parts = Counter(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1 for mask in masks)
    assert found.num_polyps == {str(key): parts[key] for key in sorted(parts)}
    assert found.area_rel["p50"] == pytest.approx(np.median([mask.mean() for mask in masks]))
    assert found.width_px == {"min": 256.0, "median": 256.0, "max": 256.0}
    assert sum(found.size_bins.values()) == found.num_images == len(items)
    assert found.synthetic and "synthetic" in found.to_text()
    with pytest.raises(BenchError, match="has no images"):
        survey("x", [])


@pytest.mark.parametrize("box", [50, 100, 400])
def test_the_outline_surrounds_the_mask(box: int) -> None:
    image = np.full((100, 120, 3), 90, np.uint8)
    mask = np.zeros((100, 120), bool)
    mask[30:70, 40:80] = True
    drawn = outlined(image, mask, box)
    scale = min(1.0, box / 120)
    yellow = (drawn == (255, 235, 0)).all(2)
    rows, columns = np.nonzero(yellow)
    expected = np.array([30, 70, 40, 80]) * scale
    np.testing.assert_allclose([rows.min() + 1, rows.max(), columns.min() + 1, columns.max()], expected, atol=1)
    inside = drawn[int(35 * scale) : int(65 * scale), int(45 * scale) : int(75 * scale)]
    assert (inside == 90).all()
    assert max(drawn.shape) == min(box, 120)


def test_a_speck_stays_visible_and_an_empty_mask_draws_nothing() -> None:
    image, mask = np.full((1000, 1000, 3), 90, np.uint8), np.zeros((1000, 1000), bool)
    assert (outlined(image, mask, 200) == 90).all()
    mask[500:504, 500:504] = True
    assert (outlined(image, mask, 200) == (255, 235, 0)).all(2).any()


def test_the_sheet(tmp_path: Path, shared_cache: Path) -> None:
    items = list_dataset("phantom-etis", cache_dir=shared_cache)
    assert [item.id for item in spread(items, 4)] == [items[i].id for i in (0, 10, 20, 30)]
    assert spread(items, 99) == items
    long = Item("x", "a" * 200, items[0].image_path, items[0].mask_path, "g")
    sheet = contact_sheet("title", [*items[:7], long])
    assert sheet.width == 6 * (TILE_PX + 8) + 8 and sheet.height > 2 * TILE_PX
    save_sheet(sheet, tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as read:
        assert read.size == sheet.size
    with pytest.raises(BenchError, match=r"expected a file name that ends in \.png"):
        save_sheet(sheet, tmp_path / "a.jpg")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(BenchError, match="cannot write"):
        save_sheet(sheet, tmp_path / "b.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.png", "new"]
