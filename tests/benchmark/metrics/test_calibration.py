"""Brier score and calibration error against scikit-learn, the band against distances taken one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.metrics.calibration import NUM_BINS, calibration_counts, calibration_figures, outline_band, reliability

SHAPE = (24, 31)
EMPTY, FULL = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
Pair = tuple[np.ndarray, np.ndarray]


def figures(pairs: Sequence[Pair]) -> dict[str, float | None]:
    rows = [calibration_counts(levels, mask) for levels, mask in pairs]
    return calibration_figures({key: np.array([row[key] for row in rows]) for key in rows[0]})


def by_scikit_learn(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Brier score, and ECE from the reliability curve and the pixels of its bins."""
    calibration, metrics = pytest.importorskip("sklearn.calibration"), pytest.importorskip("sklearn.metrics")
    share, mean = calibration.calibration_curve(y, p, n_bins=NUM_BINS, strategy="uniform")
    weights = np.histogram(p, bins=NUM_BINS, range=(0, 1))[0]
    ece = np.abs(share - mean) @ weights[weights > 0] / len(p)
    return {"brier": metrics.brier_score_loss(y, p, pos_label=True), "ece": float(ece)}


@pytest.mark.parametrize("kind", ["blobs", "border", "noise", "one_pixel"])
def test_figures_equal_scikit_learn_over_all_pixels(kind: str, make_pair: Callable) -> None:
    maps = ("near", "noise", "narrow", "inverse")
    pairs = [make_pair(seed, (20 + 9 * seed, 31), kind, name) for seed, name in enumerate(maps)]
    p = np.concatenate([levels.ravel() / 255 for levels, _ in pairs])
    y = np.concatenate([mask.ravel() for _, mask in pairs])
    got = figures(pairs)
    assert {key: got[key] for key in ("brier", "ece")} == pytest.approx(by_scikit_learn(p, y), abs=1e-12)
    near = np.concatenate([outline_band(mask).ravel() for _, mask in pairs])
    expected = by_scikit_learn(p[near], y[near])
    assert (got["brier_band"], got["ece_band"]) == pytest.approx((expected["brier"], expected["ece"]), abs=1e-12)


def plain_band(mask: np.ndarray, share: float) -> np.ndarray:
    reach = max(1.0, share * math.hypot(*mask.shape))
    polyp, rest = np.argwhere(mask), np.argwhere(~mask)
    band = np.zeros_like(mask)
    for own, other in ((polyp, rest), (rest, polyp)):
        for y, x in own:
            band[y, x] = bool(len(other)) and np.sqrt(((other - (y, x)) ** 2).sum(axis=1)).min() <= reach
    return band


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("kind", ["blobs", "one_pixel", "diagonal", "border", "all_but_one", "noise"])
def test_the_band_is_what_lies_near_the_other_side(kind: str, share: float, make_pair: Callable) -> None:
    for seed in range(2):
        _, mask = make_pair(seed, (19, 26), kind, "perfect")
        np.testing.assert_array_equal(outline_band(mask, share=share), plain_band(mask, share))


def test_an_empty_and_a_full_mask_have_no_band() -> None:
    for mask in (EMPTY, FULL):
        assert not outline_band(mask).any()
        got = figures([(np.full(SHAPE, 51, np.uint8), mask)])
        gap = 0.2 if mask is EMPTY else 0.8
        assert got == {
            "brier": pytest.approx(gap**2),
            "ece": pytest.approx(gap),
            "brier_band": None,
            "ece_band": None,
        }


def test_perfect_and_inverted_maps() -> None:
    mask = EMPTY.copy()
    mask[:9] = True
    right, wrong = mask.astype(np.uint8) * 255, (~mask).astype(np.uint8) * 255
    assert figures([(right, mask)]) == pytest.approx(dict.fromkeys(("brier", "ece", "brier_band", "ece_band"), 0))
    assert figures([(wrong, mask)]) == pytest.approx(dict.fromkeys(("brier", "ece", "brier_band", "ece_band"), 1))


def test_no_level_lies_on_an_edge_of_a_bin() -> None:
    assert all(level * NUM_BINS % 255 for level in range(1, 255))
    levels = np.arange(256, dtype=np.uint8)[None]
    n, p, y = reliability({k: np.array([v]) for k, v in calibration_counts(levels, levels > 127).items()}, "image")
    assert n.sum() == 256 and set(n) == {16} and p.sum() == pytest.approx(128) and y.sum() == 128


def test_bad_input_is_refused() -> None:
    with pytest.raises(BenchError, match="boolean"):
        outline_band(EMPTY.astype(np.uint8))
