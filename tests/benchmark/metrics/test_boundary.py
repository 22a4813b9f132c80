"""HD95 against medpy, surface Dice against distances taken one by one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.metrics import hd95, score, surface_dice

KINDS = ("noise", "blobs", "one_pixel", "diagonal", "border", "all_but_one")


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_hd95_equals_medpy(first: str, second: str, make_pair: Callable) -> None:
    medpy = pytest.importorskip("medpy.metric.binary")
    for seed, shape in enumerate([(20, 31), (45, 12), (8, 8)]):
        _, a = make_pair(seed, shape, first, "perfect")
        _, b = make_pair(seed + 100, shape, second, "perfect")
        if a.any() and b.any():
            assert hd95(a, b) == pytest.approx(medpy.hd95(a, b), abs=1e-9)


def outline(mask: np.ndarray) -> list[tuple[int, int]]:
    height, width = mask.shape
    steps = ((0, 1), (0, -1), (1, 0), (-1, 0))
    found = []
    for y, x in np.argwhere(mask):
        around = [(y + dy, x + dx) for dy, dx in steps]
        if any(not (0 <= v < height and 0 <= u < width) or not mask[v, u] for v, u in around):
            found.append((int(y), int(x)))
    return found


@pytest.mark.parametrize("tolerance_px", [0, 1, 2.5])
def test_surface_dice_equals_plain_search(tolerance_px: float, make_pair: Callable) -> None:
    for seed in range(3):
        _, a = make_pair(seed, (18, 23), "blobs", "perfect")
        b = np.roll(a, 1 + seed, axis=1)
        edge_a, edge_b = outline(a), outline(b)
        near = [min(math.dist(p, q) for q in edge_b) for p in edge_a]
        near += [min(math.dist(p, q) for q in edge_a) for p in edge_b]
        expected = sum(d <= tolerance_px for d in near) / len(near)
        assert surface_dice(a, b, tolerance_px=tolerance_px) == pytest.approx(expected, abs=1e-12)
        assert surface_dice(a, a, tolerance_px=0) == 1


def test_empty_outlines_are_defined() -> None:
    none, some = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    some[3, 3] = True
    assert hd95(none, none) == 0 and surface_dice(none, none) == 1
    assert hd95(none, some) == hd95(some, none) == 50
    assert surface_dice(some, none) == 0


def test_boundary_measures_come_on_request_only(make_pair: Callable) -> None:
    levels, mask = make_pair(0, (30, 40), "blobs", "near")
    plain, more = score(levels, mask), score(levels, mask, boundary=True, tolerance_px=1)
    assert plain.hd95 is None and "hd95" not in plain.row()
    stretched = (levels.astype(float) - levels.min()) / (int(levels.max()) - int(levels.min()))
    assert more.row()["hd95"] == hd95(stretched > 0.5, mask)
    assert more.row()["surface_dice"] == surface_dice(stretched > 0.5, mask, tolerance_px=1)
    assert {k: v for k, v in more.row().items() if k in plain.row()} == plain.row()


def test_bad_input_is_refused() -> None:
    mask = np.eye(4, dtype=bool)
    with pytest.raises(BenchError, match="boolean"):
        hd95(mask.astype(int), mask)
    with pytest.raises(BenchError, match="4x4"):
        hd95(np.eye(5, dtype=bool), mask)
    with pytest.raises(BenchError, match="tolerance_px"):
        surface_dice(mask, mask, tolerance_px=-1)
