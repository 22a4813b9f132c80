"""Options of a protocol: images without a polyp, Dice of the background, pixels of all images together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.metrics import PROTOCOLS, Protocol, aggregate, get_protocol, load_protocol, score
from benchmark.metrics.aggregate import Accumulator
from benchmark.metrics.named import rules_from_files
from benchmark.metrics.strata import mask_facts

HALF = PROTOCOLS["half"]
SHAPE = (17, 23)
BLACK, WHITE = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8)
EMPTY, FULL = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
OVERLAP = ("dice", "iou", "precision", "recall", "f", "wfm")


def degenerate() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return maps and masks: empty, full, one pixel, along the border, and nothing in common."""
    pixel, border = EMPTY.copy(), EMPTY.copy()
    pixel[3, 4] = True
    border[0] = border[:, -1] = True
    masks = [EMPTY, FULL, pixel, border]
    return [(levels, mask) for mask in masks for levels in (BLACK, WHITE, *(m.astype(np.uint8) * 200 for m in masks))]


def test_options_change_the_hash_and_their_defaults_do_not() -> None:
    for name, value in {"empty_mask": "skip", "dice": "mean", "average": "pixels"}.items():
        assert replace(HALF, **{name: value}).hash != HALF.hash, name  # type: ignore[arg-type]
    assert replace(HALF, empty_mask="score", dice="foreground", average="images").hash == HALF.hash == "87323c2d"
    with pytest.raises(BenchError, match="score, skip, one-if-empty"):
        replace(HALF, empty_mask="one")  # type: ignore[arg-type]


def test_mean_of_polyp_and_background_equals_scikit_learn(make_pair: Callable) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    pairs = [make_pair(seed, SHAPE, "blobs", kind) for seed, kind in enumerate(("near", "noise", "inverse", "perfect"))]
    for levels, mask in (*pairs, *degenerate()):
        truth, called = mask.ravel(), (levels >= 128).ravel()
        row = score(levels, mask, protocol="half-mean").row()
        keys = {"labels": [False, True], "average": "macro", "zero_division": 0}
        assert row["dice"] == row["dice_half"] == pytest.approx(metrics.f1_score(truth, called, **keys), abs=1e-12)
        assert row["iou"] == pytest.approx(metrics.jaccard_score(truth, called, **keys), abs=1e-12)
        assert row["recall"] == score(levels, mask, protocol="half").row()["recall"]


def test_mean_dice_holds_at_every_threshold(make_pair: Callable) -> None:
    levels, mask = make_pair(2, SHAPE, "blobs", "noise")
    mine = replace(PROTOCOLS["pranet"], name="mine", dice="mean", stretch=False)
    expected = []
    for k in range(255, -1, -1):
        called = levels >= k
        fg = 2 * (called & mask).sum() / (called.sum() + mask.sum())
        bg = 2 * (~called & ~mask).sum() / ((~called).sum() + (~mask).sum())
        expected.append((fg + bg) / 2)
    np.testing.assert_allclose(score(levels, mask, protocol=mine).dice, expected, atol=1e-12)


@pytest.mark.parametrize("with_empty", [False, True])
def test_pixels_of_all_images_equal_scikit_learn(make_pair: Callable, *, with_empty: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    pairs = [make_pair(seed, (10 + 7 * seed, 20), "blobs", "near") for seed in range(4)]
    pairs += degenerate() if with_empty else []
    truth = np.concatenate([mask.ravel() for _, mask in pairs])
    called = np.concatenate([(levels >= 128).ravel() for levels, _ in pairs])
    figures = aggregate(score(levels, mask, protocol="half-pixels") for levels, mask in pairs)
    expected = {
        "mDSC": metrics.f1_score(truth, called),
        "mIoU": metrics.jaccard_score(truth, called),
        "meanPre": metrics.precision_score(truth, called),
        "meanSen": metrics.recall_score(truth, called),
        "meanSpe": metrics.recall_score(~truth, ~called),
        "meanF": metrics.f1_score(truth, called),
        "dice_half": metrics.f1_score(truth, called),
        "specificity_half": metrics.recall_score(~truth, ~called),
    }
    assert {key: figures[key] for key in expected} == pytest.approx(expected, abs=1e-12)
    single = aggregate(score(levels, mask, protocol="half") for levels, mask in pairs)
    assert {key: figures[key] for key in ("S_alpha", "F_beta_w", "MAE")} == {
        key: single[key] for key in ("S_alpha", "F_beta_w", "MAE")
    }
    assert figures["mDSC"] != pytest.approx(single["mDSC"], abs=1e-6)


def test_pixels_are_counted_at_each_of_256_thresholds(make_pair: Callable) -> None:
    mine = replace(PROTOCOLS["pranet"], name="mine", average="pixels", stretch=False)
    pairs = [make_pair(seed, SHAPE, "blobs", "noise") for seed in range(3)]
    dice = []
    for k in range(256):
        tp = sum(((levels >= k) & mask).sum() for levels, mask in pairs)
        both = sum((levels >= k).sum() + mask.sum() for levels, mask in pairs)
        dice.append(2 * tp / both)
    figures = aggregate(score(levels, mask, protocol=mine) for levels, mask in pairs)
    assert figures["mDSC"] == pytest.approx(np.mean(dice), abs=1e-12)
    assert figures["maxDSC"] == pytest.approx(np.max(dice), abs=1e-12)


def test_an_image_without_a_polyp_scores_zero_by_default() -> None:
    for levels in (BLACK, WHITE):
        row = score(levels, EMPTY, protocol="half").row()
        assert [row[name] for name in OVERLAP] == [0] * len(OVERLAP)


def test_one_if_empty_equals_scikit_learn_with_zero_division_one(make_pair: Callable) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    mine = replace(HALF, name="mine", empty_mask="one-if-empty")
    speck = BLACK.copy()
    speck[-1, 0] = 128
    for levels, mask in (*degenerate(), (speck, EMPTY), make_pair(1, SHAPE, "blobs", "near")):
        truth, called = mask.ravel(), (levels >= 128).ravel()
        row = score(levels, mask, protocol=mine).row()
        zero = {"zero_division": 0 if mask.any() else 1}
        assert row["dice"] == pytest.approx(metrics.f1_score(truth, called, **zero), abs=1e-12)
        assert row["iou"] == pytest.approx(metrics.jaccard_score(truth, called, **zero), abs=1e-12)


def test_one_if_empty_rewards_an_empty_map_and_nothing_else() -> None:
    mine = replace(HALF, name="mine", empty_mask="one-if-empty")
    speck = BLACK.copy()
    speck[5, 5] = 255
    for levels, expected in ((BLACK, 1), (speck, 0), (WHITE, 0)):
        row = score(levels, EMPTY, protocol=mine).row()
        assert [row[name] for name in OVERLAP] == [expected] * len(OVERLAP)
        plain = score(levels, EMPTY, protocol=HALF).row()
        assert {k: row[k] for k in ("mae", "sm", "em", "specificity")} == {
            k: plain[k] for k in ("mae", "sm", "em", "specificity")
        }
    dim = np.full(SHAPE, 60, np.uint8)  # below 0.5: an empty map at that threshold, but not black
    row = score(dim, EMPTY, protocol=mine).row()
    assert (row["dice"], row["wfm"]) == (1, 0)
    curve = score(dim, EMPTY, protocol=replace(mine, thresholds="all")).dice
    assert curve[255 - 60] == 0 and curve[255 - 61] == 1 and curve[-1] == 0
    both = replace(mine, dice="mean", iou="mean")
    row = score(speck, EMPTY, protocol=both).row()
    size = EMPTY.size
    assert row["dice"] == pytest.approx((2 * (size - 1) / (2 * size - 1)) / 2)
    assert row["iou"] == pytest.approx((size - 1) / size / 2)


def test_the_rule_asks_for_the_mask_at_its_own_size() -> None:
    """A polyp of one pixel vanishes at LDNet's 224 px, but the image shows a polyp: its empty map is no success."""
    mask = np.zeros((900, 900), bool)
    mask[450, 450] = True
    ldnet = replace(PROTOCOLS["ldnet"], name="mine", zero_tp="formula", iou="foreground", empty_mask="one-if-empty")
    assert score(np.zeros(mask.shape, np.uint8), mask, protocol=ldnet).row()["dice"] == 0
    assert score(np.zeros(mask.shape, np.uint8), mask & False, protocol=ldnet).row()["dice"] == 1


@pytest.mark.parametrize("rule", ["score", "skip", "one-if-empty"])
def test_skipped_images_leave_the_means_and_are_counted(make_pair: Callable, rule: str) -> None:
    mine = replace(HALF, name="mine", empty_mask=rule)  # type: ignore[arg-type]
    pairs = [make_pair(seed, SHAPE, "blobs", "near") for seed in range(3)]
    sums = Accumulator()
    for i, (levels, mask) in enumerate([(BLACK, EMPTY), *pairs, (WHITE, EMPTY)]):
        sums.add(score(levels, mask, protocol=mine), id=str(i), **mask_facts(mask))
    plain = [score(levels, mask, protocol=HALF).dice_half for levels, mask in pairs]
    extra = {"score": [0, 0], "skip": [], "one-if-empty": [1, 0]}[rule]
    assert sums.num_empty == 2 and sums.n == len(plain) + len(extra)
    assert sums.result()["mDSC"] == pytest.approx(np.mean([*plain, *extra]))
    assert [row["id"] for row in sums.rows()] == (["1", "2", "3"] if rule == "skip" else list("01234"))


def test_nothing_left_to_score_is_said() -> None:
    mine = replace(HALF, name="mine", empty_mask="skip")
    with pytest.raises(BenchError, match="all 2 masks are empty, and protocol mine"):
        aggregate(score(BLACK, EMPTY, protocol=mine) for _ in range(2))


def test_rules_travel_with_the_records(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nempty_mask = "skip"\naverage = "pixels"\nthresholds = [0.5]\n')
    mine = load_protocol(path)
    kept = rules_from_files([mine, *PROTOCOLS.values()])
    assert set(kept) == {"mine"} and Protocol("mine", **kept["mine"]).hash == mine.hash
    assert "left out of every mean" in mine.in_words and "counted together" in mine.in_words
    assert "Dice are the mean" in get_protocol("half-mean").in_words
