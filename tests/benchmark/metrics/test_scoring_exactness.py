"""Every measure against py_sod_metrics and scikit-learn; numba against numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.metrics import PROTOCOLS, plan, quantise, score, score_all

KINDS_OF_MASK = ("noise", "blobs", "one_pixel", "diagonal", "border", "all_but_one")
KINDS_OF_MAP = ("noise", "constant", "two_levels", "three_levels", "narrow", "near", "perfect", "inverse")
SHAPES = ((1, 1), (1, 40), (37, 1), (2, 3), (7, 7), (16, 33), (31, 64), (97, 70))


def assert_same(scores: Any, expected: dict[str, Any], *, exact_em: bool = True) -> None:
    for name, value in expected.items():
        ours = getattr(scores, name)
        if name == "sm" and math.isnan(value):  # the reference's own fault; see test_scoring_edges.py
            continue
        if name in ("sm", "wfm", "mae"):
            assert ours == pytest.approx(value, abs=1e-9, rel=0), name
        else:
            np.testing.assert_array_equal(ours, value, err_msg=name)


@pytest.mark.parametrize("map_kind", KINDS_OF_MAP)
@pytest.mark.parametrize("mask_kind", KINDS_OF_MASK)
def test_grid_equals_py_sod_metrics(mask_kind: str, map_kind: str, make_pair: Callable, field: Callable) -> None:
    for seed, shape in enumerate(SHAPES):
        levels, mask = make_pair(seed, shape, mask_kind, map_kind)
        assert_same(score(levels, mask), field(levels, mask))


@st.composite
def small_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    few = draw(st.lists(st.integers(0, 255), min_size=1, max_size=4))
    levels = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from(few)))
    return levels, draw(hnp.arrays(np.bool_, shape))


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pair=small_pairs())
def test_any_small_pair_equals_py_sod_metrics(pair: tuple[np.ndarray, np.ndarray], field: Callable) -> None:
    levels, mask = pair
    assert_same(score(levels, mask), field(levels, mask))


def test_large_image_equals_py_sod_metrics(make_pair: Callable, field: Callable) -> None:
    """Distances beyond 216 pixels, where importances share one rank, and blocks that the pass leaps over."""
    levels, mask = make_pair(5, (331, 402), "one_pixel", "noise")
    assert_same(score(levels, mask), field(levels, mask))
    mask[:] = False
    mask[60:300, 100:350] = True
    levels = np.where(np.roll(mask, 9, 1), 255, 0).astype(np.uint8)
    levels[5:9] = 77
    assert_same(score(levels, mask), field(levels, mask))


def test_flat_quadrants_follow_the_reference_into_its_rounding(field: Callable) -> None:
    """The mean of equal numbers may be off by an ulp, which makes S of a flat quadrant 0 instead of 1."""
    seen = set()
    mask = np.zeros((150, 171), bool)  # large enough for the order of summation to matter, too
    mask[20, 25] = True
    for level in range(1, 255, 5):
        levels = np.full(mask.shape, level, np.uint8)
        expected = field(levels, mask)
        assert_same(score(levels, mask), expected)
        seen.add(round(float(expected["sm"]), 2))
    assert len(seen) > 10


def test_adaptive_threshold_that_meets_a_level_follows_the_reference(field: Callable) -> None:
    """Twice the mean is 0.6, a level's own value, up to the rounding of the sum: 40 of 0.6 and 6 of 1 in 100."""
    rng = np.random.default_rng(0)
    passed = set()
    for _ in range(60):
        levels = rng.permutation(np.repeat([0, 153, 255], [54, 40, 6])).astype(np.uint8).reshape(10, 10)
        mask = levels > 0
        expected = field(levels, mask)
        assert_same(score(levels, mask), expected)
        passed.add(float(expected["adp_recall"]))
    assert len(passed) == 2  # both outcomes occur, so the case is a real one


def test_e_squares_the_masks_mean_as_the_reference_does(field: Callable) -> None:
    """Python's power and a product differ in the last place for some shares of foreground."""
    rng, found = np.random.default_rng(0), 0
    for num_fg in range(1, 1720):
        share = 1 - num_fg / 1720
        if share**2 != share * share:
            found += 1
            mask = (np.arange(1720) < num_fg).reshape(43, 40)
            levels = rng.integers(0, 256, mask.shape).astype(np.uint8)
            np.testing.assert_array_equal(score(levels, mask).em, field(levels, mask)["em"])
    assert found > 0


@pytest.mark.parametrize("map_kind", KINDS_OF_MAP)
@pytest.mark.parametrize("protocol", ["pranet", "half"])
def test_reference_engine_gives_the_same_row(protocol: str, map_kind: str, make_pair: Callable) -> None:
    for seed, mask_kind in enumerate(KINDS_OF_MASK):
        levels, mask = make_pair(seed, (23, 31), mask_kind, map_kind)
        fast, slow = (score(levels, mask, protocol=protocol, engine=e).row() for e in ("fast", "reference"))
        assert fast == pytest.approx(slow, abs=1e-9, rel=0)


@pytest.mark.parametrize("map_kind", KINDS_OF_MAP)
@pytest.mark.parametrize("mask_kind", KINDS_OF_MASK)
def test_without_numba_every_bit_is_the_same(
    mask_kind: str, map_kind: str, make_pair: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, shape in enumerate(SHAPES[2:]):
        levels, mask = make_pair(seed, shape, mask_kind, map_kind)
        compiled = score_all(levels, mask, protocols=tuple(PROTOCOLS))
        with monkeypatch.context() as patch:
            patch.setenv("BENCH_NO_NUMBA", "1")
            plain = score_all(levels, mask, protocols=tuple(PROTOCOLS))
        for name, scores in compiled.items():
            assert scores.row() == plain[name].row()
            for measure, curve in scores.curves().items():
                np.testing.assert_array_equal(curve, plain[name].curves()[measure])


def test_dice_and_iou_equal_sklearn(make_pair: Callable) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    for seed in range(5):
        levels, mask = make_pair(seed, (40, 52), "blobs", "near")
        scores, truth = score(levels, mask, protocol="half"), mask.ravel()
        pred = levels.ravel() >= 128
        assert scores.row()["dice"] == pytest.approx(sklearn.f1_score(truth, pred), abs=1e-12)
        assert scores.iou_half == pytest.approx(sklearn.jaccard_score(truth, pred), abs=1e-12)
        level = 200  # the curve of the unstretched map at threshold k is that of map >= k
        expected = sklearn.f1_score(truth, levels.ravel() >= level)
        assert scores.dice[255 - level] == pytest.approx(expected, abs=1e-12)


def test_all_protocols_at_once_equal_each_on_its_own(make_pair: Callable) -> None:
    levels, mask = make_pair(3, (61, 80), "blobs", "narrow")
    known = plan(mask)
    together = score_all(levels, mask, plan=known, protocols=tuple(PROTOCOLS))
    for name in PROTOCOLS:
        assert together[name].row() == score(levels, mask, protocol=name).row()
    assert together["pranet"].mae != together["half"].mae  # one is stretched


def test_float_map_scores_as_its_rounded_levels(make_pair: Callable) -> None:
    levels, mask = make_pair(1, (20, 30), "blobs", "noise")
    prob = np.clip(levels / 255 + np.random.default_rng(0).uniform(-0.4, 0.4, levels.shape) / 255, 0, 1)
    np.testing.assert_array_equal(quantise(prob), levels)
    np.testing.assert_array_equal(quantise((levels / 255).astype(np.float32)), levels)
    assert score(prob, mask).row() == score(levels, mask).row()
    assert quantise(np.array([[0.5 / 255, 1.5 / 255]])).tolist() == [[0, 2]]  # half to even


def test_views_and_read_only_arrays_are_accepted(make_pair: Callable) -> None:
    levels, mask = make_pair(2, (40, 60), "blobs", "near")
    expected = score(levels[::2, ::3].copy(), mask[::2, ::3].copy()).row()
    levels.flags.writeable = mask.flags.writeable = False
    assert score(levels[::2, ::3], mask[::2, ::3]).row() == expected
    assert score(np.asfortranarray(levels), np.asfortranarray(mask)).row() == score(levels, mask).row()
