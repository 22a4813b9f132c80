"""Splits from folders of name lists: what is named, what may be missing, what may not be named twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.data.listing.items import Item
from benchmark.data.splits.lists import read_lists
from benchmark.errors import BenchError

ITEMS = [Item("kvasir", name, Path(f"{name}.jpg"), Path(f"{name}-mask.jpg"), name) for name in ("a", "b", "c")]


def lists(folder: Path, **parts: str) -> Path:
    for part, text in parts.items():
        (folder / f"{part}.txt").write_text(text)
    return folder


def test_a_name_that_is_not_at_hand_is_left_out_only_where_that_is_allowed(tmp_path: Path) -> None:
    folder = lists(tmp_path, train="a\nlost\n", val="b\n", test="c\n")
    with pytest.raises(BenchError, match=r"train\.txt, line 2: 'lost' is no image of kvasir; or pass --allow-missing"):
        read_lists(folder, ITEMS)
    found = read_lists(folder, ITEMS, allow_missing=True)
    assert {part: [item.id for item in items] for part, items in found.items()} == {
        "train": ["a"],
        "val": ["b"],
        "test": ["c"],
    }


def test_no_image_stands_in_two_places(tmp_path: Path) -> None:
    folder = lists(tmp_path, train="a\nb\n", test="b\n")
    with pytest.raises(BenchError, match=r"test\.txt, line 1: kvasir/b is already in .*train\.txt, line 2; remove one"):
        read_lists(folder, ITEMS)


def test_a_folder_without_a_training_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"holds no train\.txt"):
        read_lists(lists(tmp_path, test="a\n"), ITEMS)
