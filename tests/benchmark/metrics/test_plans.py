"""Plans: exact distances with scipy's choice between equals, and the store of plans on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.metrics import Plan, PlanCache, plan, score
from benchmark.metrics.backend import kernels


def same(a: Plan, b: Plan) -> bool:
    numbers = ("num_fg", "row_sum", "col_sum", "box", "weight_total", "shape")
    arrays = ("quadrants", "rank", "ring_at", "ring_from")
    return all(getattr(a, n) == getattr(b, n) for n in numbers) and all(
        np.array_equal(getattr(a, n), getattr(b, n)) for n in arrays
    )


@pytest.mark.parametrize("mask_kind", ["noise", "blobs", "one_pixel", "diagonal", "border", "all_but_one"])
def test_compiled_plan_equals_scipys_distances_and_ties(
    mask_kind: str, make_pair: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, shape in enumerate([(1, 1), (1, 30), (25, 1), (9, 9), (40, 33), (60, 61), (260, 40), (40, 260)]):
        _, mask = make_pair(seed, shape, mask_kind, "perfect")
        compiled = plan(mask)
        with monkeypatch.context() as patch:
            patch.setenv("BENCH_NO_NUMBA", "1")
            assert kernels().__name__.endswith("kernels_numpy")
            assert same(compiled, plan(mask)), (mask_kind, shape)


def test_plan_knows_its_mask(make_pair: Callable) -> None:
    _, mask = make_pair(0, (31, 44), "blobs", "perfect")
    made = plan(mask)
    np.testing.assert_array_equal(made.mask, mask)
    assert made.num_fg == mask.sum() and made.shape == mask.shape
    assert made.resized(224) is made.resized(224)
    assert made.resized(224).shape == (224, 224)
    empty = plan(np.zeros((10, 21), bool))
    assert (empty.split(half_up=True), empty.split(half_up=False)) == ((6, 12), (6, 11)), "at the centre"


def test_cached_plan_is_the_same_and_scores_the_same(tmp_path: Path, make_pair: Callable) -> None:
    cache = PlanCache(tmp_path / "plans", max_mb=4)
    for seed, kind in enumerate(["blobs", "one_pixel", "border"]):
        levels, mask = make_pair(seed, (57, 43), kind, "near")
        made, read = cache.get(mask), cache.get(mask)
        assert same(made, read) and same(read, plan(mask)) and read is not made
        assert score(levels, mask, plan=read).row() == score(levels, mask).row()
    empty = np.zeros((9, 5), bool)
    cache.get(empty)
    assert same(cache.get(empty), plan(empty))
    assert len(list((tmp_path / "plans").iterdir())) == 4  # no part is left behind


def test_same_bits_in_another_shape_are_another_mask(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    mask = np.eye(4, dtype=bool)
    assert cache.get(mask).shape == (4, 4)
    assert cache.get(mask.reshape(2, 8)).shape == (2, 8)
    assert len(list(tmp_path.iterdir())) == 2


def _flip(raw: bytes) -> bytes:
    return raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]


@pytest.mark.parametrize(
    "damage",
    [lambda raw: raw[:-8], lambda raw: raw[:-3], lambda raw: b"", lambda raw: b"\x80\x04]" * 99, _flip],
    ids=["truncated", "odd", "empty", "garbage", "one bit"],
)
def test_damaged_file_is_noticed_and_made_anew(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    mask = np.zeros((30, 41), bool)
    mask[4:20, 7:30] = True
    cache = PlanCache(tmp_path)
    cache.get(mask)
    (path,) = tmp_path.iterdir()
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    assert same(cache.get(mask), plan(mask))
    assert path.read_bytes() == sound


def test_a_sound_plan_is_read_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PlanCache(tmp_path)
    mask = np.eye(9, dtype=bool)
    made = cache.get(mask)
    monkeypatch.setattr("benchmark.metrics.plan_cache.make_plan", None)
    assert same(cache.get(mask), made)


def test_a_sound_plan_of_another_mask_is_not_taken(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    mask, other = np.eye(9, dtype=bool), np.zeros((9, 9), bool)
    other[2:5, 3:7] = True
    cache.get(mask)
    (path,) = tmp_path.iterdir()
    cache.get(other)
    (its,) = set(tmp_path.iterdir()) - {path}
    path.write_bytes(its.read_bytes())
    assert same(cache.get(mask), plan(mask))


def test_every_byte_of_the_header_counts(tmp_path: Path) -> None:
    mask = np.zeros((6, 7), bool)
    mask[2:4, 3:6] = True
    cache = PlanCache(tmp_path)
    cache.get(mask)
    (path,) = tmp_path.iterdir()
    sound = path.read_bytes()
    for i in range(0, 24 * 8, 8):
        path.write_bytes(sound[:i] + bytes([sound[i] ^ 2]) + sound[i + 1 :])
        assert same(cache.get(mask), plan(mask)), f"word {i // 8}"


def test_cache_stays_within_its_bound_and_drops_the_oldest(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path, max_mb=0.2)
    order: list[str] = []
    for i in range(12):  # about 21 kB each, nine or ten fit
        mask = np.zeros((100, 100), bool)
        mask[i : i + 5, 3:9] = True
        cache.get(mask)
        (new,) = {p.name for p in tmp_path.iterdir()} - set(order)
        order.append(new)
        os.utime(tmp_path / new, (1000 + i, 1000 + i))
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 0.2 * 2**20
    left = [name for name in order if (tmp_path / name).exists()]
    assert left == order[-len(left) :] and 8 <= len(left) < 12


def test_use_makes_a_plan_young_again(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    mask = np.eye(9, dtype=bool)
    cache.get(mask)
    (path,) = tmp_path.iterdir()
    os.utime(path, (1000, 1000))
    cache.get(mask)
    assert path.stat().st_mtime > 1000


def test_plan_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path, max_mb=0.001)
    assert cache.get(np.ones((50, 50), bool)).num_fg == 2500
    assert not list(tmp_path.iterdir())


def test_unusable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BenchError, match="give another directory"):
        PlanCache(tmp_path / "file" / "plans")
    with pytest.raises(BenchError, match="max_mb"):
        PlanCache(tmp_path, max_mb=0)
    cache = PlanCache(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cache.get(np.eye(5, dtype=bool)).num_fg == 5  # costs speed, not the score
