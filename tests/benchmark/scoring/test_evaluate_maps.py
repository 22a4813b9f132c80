"""Scoring of a set of maps: a stream on all cores, in order, in bounded memory, each protocol with its own mask."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.files.parallel import ahead
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.metrics import PROTOCOLS, aggregate, score
from benchmark.scoring.score_maps import score_maps

MakeSet = Callable[..., list[Item]]


@pytest.fixture
def make_set(tmp_path: Path) -> MakeSet:
    """Return a function that writes ``n`` masks and maps of a side and returns their items (map as image)."""

    def make(n: int, side: int = 24, folder: str = "set") -> list[Item]:
        rng = np.random.default_rng(n)
        root = tmp_path / folder
        root.mkdir()
        items = []
        for i in range(n):
            mask = np.zeros((side, side + 2), np.uint8)
            top, left = rng.integers(1, side // 3, 2)
            mask[top : top + side // 3, left : left + side // 3] = 255
            prob = np.clip(mask * 0.7 + rng.integers(0, 60, mask.shape), 0, 255).astype(np.uint8)
            paths = root / f"m{i}.png", root / f"p{i}.png"
            Image.fromarray(mask).save(paths[0])
            Image.fromarray(prob).save(paths[1])
            items.append(Item("mine", f"i{i}", paths[1], paths[0], f"g{i}"))
        return items

    return make


def test_rows_come_in_order_and_add_up(make_set: MakeSet, tmp_path: Path) -> None:
    items = make_set(31)
    seen: list[tuple[int, int]] = []
    scored = score_maps(
        items,
        lambda item: item.image_path,
        dataset="mine",
        protocols=("pranet", "half"),
        cache_dir=tmp_path / "cache",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert list(scored.rows["id"]) == [item.id for item in items] * 2 and seen == [(i, 31) for i in range(1, 32)]
    for name in ("pranet", "half"):
        mine = aggregate(
            score(np.asarray(Image.open(i.image_path)), np.asarray(Image.open(i.mask_path)) > 127, protocol=name)
            for i in items
        )
        assert scored.summary[name] == mine
        rows = scored.rows[scored.rows["protocol"] == name]
        assert rows["dice"].mean() == pytest.approx(mine["mDSC"])
        assert (rows["dice"] < 0.1).mean() == mine["miss_rate"]
    assert {"area_rel", "mask_px", "size_bin", "num_polyps", "touches_border", "group"} <= set(scored.rows)


def test_memory_does_not_grow_with_the_number_of_images(make_set: MakeSet, tmp_path: Path) -> None:
    """Between 50 and 400 images the peak grows by the rows only, far less than a map, its mask and its plan."""
    side, peaks = 160, {}
    every = make_set(400, side)

    def run(items: list[Item]) -> None:
        score_maps(items, lambda item: item.image_path, dataset="mine", cache_dir=tmp_path / "cache")

    run(every[:50])  # imports, tables and compiled code
    for n in (50, 400):
        tracemalloc.start()
        run(every[:n])
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    per_image = (peaks[400] - peaks[50]) / 350
    one_image = side * side * (1 + 1 + 2)
    assert per_image < 0.1 * one_image, (peaks, per_image)


def test_each_protocol_cuts_the_mask_where_it_says(make_set: MakeSet, tmp_path: Path) -> None:
    (item,) = make_set(1)
    grey = np.asarray(Image.open(item.mask_path)).copy()
    grey[:, -3:] = 150  # foreground above 127, background above 200
    Image.fromarray(grey).save(item.mask_path)
    strict = replace(PROTOCOLS["pranet"], name="strict", mask_threshold=200)
    scored = score_maps(
        [item],
        lambda one: one.image_path,
        dataset="mine",
        protocols=("pranet", strict),
        cache_dir=tmp_path / "cache",
    )
    prob = np.asarray(Image.open(item.image_path))
    assert scored.summary["pranet"]["mDSC"] == aggregate([score(prob, grey > 127)])["mDSC"]
    assert scored.summary["strict"]["mDSC"] == aggregate([score(prob, grey > 200)])["mDSC"]
    assert list(scored.rows["mask_px"]) == [(grey > 127).sum(), (grey > 200).sum()]


def test_a_bad_map_is_named(make_set: MakeSet, tmp_path: Path) -> None:
    items = make_set(5)
    Image.fromarray(np.eye(7, dtype=np.uint8)).save(items[3].image_path)
    with pytest.raises(BenchError, match=r"p3\.png: map is 7x7 and mask is 26x24"):
        score_maps(items, lambda item: item.image_path, dataset="mine", cache_dir=tmp_path / "cache")


def test_a_protocol_that_the_reference_cannot_follow_is_refused_before_any_work() -> None:
    with pytest.raises(BenchError, match="cannot follow protocol 'ldnet'"):
        score_maps([], lambda item: item.image_path, dataset="mine", protocols=("ldnet",), engine="reference")


def test_decoding_and_scoring_overlap_in_a_bounded_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    meet, drawn = threading.Barrier(4, timeout=10), []

    def work(value: int) -> int:
        meet.wait()  # passes only where four run at once
        return value * value

    def values() -> Iterator[int]:
        for value in range(40):
            drawn.append(value)
            yield value

    got = []
    for result in ahead(work, values()):
        got.append(result)
        assert len(drawn) - len(got) < 12
    assert got == [i * i for i in range(40)]
