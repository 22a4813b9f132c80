"""Folds, parts left out, publishers' parts, and lists of names as splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.data.listing.datasets import dataset_info
from benchmark.data.listing.items import Item
from benchmark.data.splits.choose import make_split, obtain_split
from benchmark.errors import BenchError

Maker = Callable[..., None]


def item(number: int, *, group: str = "", part: str = "", dataset: str = "mine") -> Item:
    name = f"i{number:03d}"
    return Item(dataset, name, Path(f"/x/{name}.png"), Path(f"/x/{name}_m.png"), group or name, part)


def split_of(items: list[Item], name: str, seed: int = 0):
    return make_split(
        name, ["kvasir"], seed=seed, listing=lambda *_, **__: [replace(i, dataset="kvasir") for i in items]
    )


def test_every_image_tests_in_one_fold_and_groups_stay_whole() -> None:
    items = [item(i, group=f"g{i // 3}" if i < 60 else "") for i in range(100)]
    tested: Counter[str] = Counter()
    for fold in range(1, 6):
        split = split_of(items, f"kfold:5:{fold}", seed=3)
        sides = [{i.group for i in side} for side in (split.train, split.val, split.tests["kvasir"])]
        assert not sides[0] & sides[1] and not (sides[0] | sides[1]) & sides[2]
        assert len(split.train) + len(split.val) + len(split.tests["kvasir"]) == 100
        assert 18 <= len(split.tests["kvasir"]) <= 22 and 6 <= len(split.val) <= 10
        tested.update(i.id for i in split.tests["kvasir"])
    assert len(tested) == 100 and set(tested.values()) == {1}
    first, turned, other = (
        {i.id for i in split_of(order, "kfold:5:1", seed=seed).train}
        for order, seed in ((items, 3), (items[::-1], 3), (items, 4))
    )
    assert first == turned != other


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kfold:5", "say which fold"),
        ("kfold:5:6", "none of 1 to 5"),
        ("kfold:1:1", "kfold:5:1"),
        ("kfold:x", "kfold:5:1"),
    ],
)
def test_a_fold_that_is_none_is_refused(name: str, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        split_of([item(i) for i in range(20)], name)


def test_leave_one_centre_out() -> None:
    items = [item(i, part=f"C{i % 3 + 1}") for i in range(30)] + [item(99, part="C1", group="i001")]
    split = split_of(items, "leave-out:C2")
    assert {i.part for i in split.tests["kvasir"]} == {"C2"} and len(split.tests["kvasir"]) == 10
    assert {i.part for i in (*split.train, *split.val)} == {"C1", "C3"}
    seen = split.tests["kvasir-seen"]
    assert {i.part for i in seen} <= {"C1", "C3"} and 1 <= len(seen) <= 4
    assert not {i.group for i in seen} & {i.group for i in (*split.train, *split.val, *split.tests["kvasir"])}
    assert len(split.train) + len(split.val) + len(seen) == 20
    assert dataset_info("kvasir-seen").title == "Kvasir (seen parts)"
    assert "i099" not in {i.id for i in (*split.train, *split.val)}  # it shows what a tested image shows
    with pytest.raises(BenchError, match="known are C1, C2, C3"):
        split_of(items, "leave-out:C9")


def test_official_parts() -> None:
    parts = ["train"] * 20 + ["validation"] * 5 + ["test"] * 6 + ["test-hard"] * 2
    split = split_of([item(i, part=part) for i, part in enumerate(parts)], "official")
    assert (len(split.train), len(split.val), len(split.tests["kvasir"])) == (20, 5, 8)
    split = split_of([item(i, part=part) for i, part in enumerate(parts) if part != "validation"], "official")
    assert (len(split.train), len(split.val)) == (18, 2)
    with pytest.raises(BenchError, match="comes without parts"):
        split_of([item(i) for i in range(5)], "official")


def _write(folder: Path, **lists: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in lists.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return str(folder)


def test_lists_of_names(tmp_path: Path) -> None:
    items = [item(i) for i in range(20)]
    folder = _write(
        tmp_path / "my lists",
        train="i000\ni001.png\n\n# a comment\nTrainDataset\\image\\i002.jpg # one more\n",
        val="kvasir/i003",
    )
    split = split_of(items, folder)
    assert [i.id for i in split.train] == ["i000", "i001", "i002"] and [i.id for i in split.val] == ["i003"]
    assert len(split.tests["kvasir"]) == 16 and split.name == "lists-my-lists"
    _write(tmp_path / "my lists", test="i010\ni011")
    assert [i.id for i in split_of(items, f"{folder}/train.txt").tests["kvasir"]] == ["i010", "i011"]
    (tmp_path / "my lists" / "val.txt").unlink()
    _write(tmp_path / "my lists", train="\n".join(i.id for i in items[:10]))
    split = split_of(items, folder)
    assert (len(split.train), len(split.val)) == (9, 1)


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"test": "i001"}, "holds no train.txt"),
        ({"train": "i000\nnope.png"}, r"train.txt, line 2: 'nope.png' is no image of kvasir; or pass --allow-missing"),
        ({"train": "i000", "test": "i000"}, "test.txt, line 1: kvasir/i000 is already in .*train.txt, line 1"),
        ({"train": "i000", "val": "i001", "valid": "i002"}, "val.txt, valid.txt mean the same"),
    ],
)
def test_faulty_lists_are_named_with_their_line(tmp_path: Path, lists: dict[str, str], words: str) -> None:
    with pytest.raises(BenchError, match=words):
        split_of([item(i) for i in range(5)], _write(tmp_path / "lists", **lists))


def test_a_name_of_two_datasets_must_say_which(tmp_path: Path, make_pairs: Maker) -> None:
    for name in ("one", "two"):
        make_pairs(tmp_path / name / "images", tmp_path / name / "masks", ["a", "b", "c", f"{name}-d"])
    folder = _write(tmp_path / "lists", train="one/a\nb", val="one-d")
    with pytest.raises(BenchError, match="'b' may be one/b, two/b; write one of them"):
        obtain_split(folder, ["one", "two"], root=tmp_path)
    split = obtain_split(_write(tmp_path / "lists", train="one/a\ntwo/b"), ["one", "two"], root=tmp_path)
    assert {name: len(items) for name, items in split.tests.items()} == {"one": 2, "two": 3}
