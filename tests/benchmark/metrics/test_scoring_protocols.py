"""Protocols: their hash, their files, and each variant against the formulas written out plainly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import BenchError
from benchmark.metrics import PROTOCOLS, Protocol, get_protocol, load_protocol, score, score_all

FAILING = (138, 139, 154, 155, 170, 171, 186, 187, 202, 203, 218, 219, 235, 251)


def test_matlab_list_fails_its_own_level_at_fourteen_places() -> None:
    """A full-range map with one foreground pixel of each level: which of them pass their own threshold?"""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    missing = []
    for k in range(256):
        mask = levels == k
        curve = score(levels, mask, protocol="pranet-matlab").recall
        assert score(levels, mask).recall[255 - k] == 1
        if curve[255 - k] == 0:
            missing.append(k)
    assert tuple(missing) == FAILING


def plain_matlab(levels: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """The field's threshold loop, image by image, threshold by threshold, as the protocol's text states it."""
    p = levels / 255
    if p.max() > p.min():
        p = (p - p.min()) * (1 / (p.max() - p.min()))
    up = [i * (1 / 255) for i in range(128)]
    thresholds = [1 - t for t in up] + up[::-1]
    out: dict[str, list[float]] = {"dice": [], "iou": [], "recall": [], "specificity": [], "precision": []}
    for t in thresholds:
        b = p >= t
        tp, fp = int((b & mask).sum()), int((b & ~mask).sum())
        fn, tn = int((~b & mask).sum()), int((~b & ~mask).sum())
        out["dice"].append(2 * tp / (mask.sum() + b.sum()) if tp else 0)
        out["iou"].append(tp / (fn + tp + fp) if tp else 0)
        out["recall"].append(tp / (tp + fn) if tp else 0)
        out["precision"].append(tp / (tp + fp) if tp else 0)
        out["specificity"].append(tn / (tn + fp) if tp and tn + fp else 0)
    return {name: np.array(values) for name, values in out.items()}


@pytest.mark.parametrize("map_kind", ["noise", "narrow", "near", "two_levels", "constant"])
def test_matlab_variant_equals_the_loop(map_kind: str, make_pair: Callable) -> None:
    for seed in range(3):
        levels, mask = make_pair(seed, (18, 23), "blobs", map_kind)
        scores = score(levels, mask, protocol="pranet-matlab")
        for name, curve in plain_matlab(levels, mask).items():
            np.testing.assert_array_equal(getattr(scores, name), curve, err_msg=name)


def test_matlab_variant_stretches_by_multiplication() -> None:
    """Which levels fail a threshold depends on the last bit of the stretched value, so on how it is computed."""
    differs = 0
    for low, high in [(10, 95), (7, 58), (100, 185), (33, 118), (200, 251)]:  # spans that divide 255 hit thresholds
        levels = np.arange(low, high + 1, dtype=np.uint8)[None]
        mask = levels % 2 == 0
        curve = plain_matlab(levels, mask)["dice"]
        np.testing.assert_array_equal(score(levels, mask, protocol="pranet-matlab").dice, curve)
        differs += not np.array_equal(score(levels, mask).dice, curve)
    assert differs


def test_matlab_variant_rounds_the_centroid_half_away_from_zero(make_pair: Callable) -> None:
    levels, _ = make_pair(0, (20, 20), "blobs", "noise")
    mask = np.zeros((20, 20), bool)
    mask[4:6, 10:14] = True  # mean row 4.5: even 4, away 5
    both = score_all(levels, mask, protocols=("pranet", "pranet-matlab"))
    assert abs(both["pranet"].sm - both["pranet-matlab"].sm) > 1e-6
    for name, scores in both.items():
        assert scores.sm == score(levels, mask, protocol=name).sm
    mask[:] = False
    mask[4:7, 10:13] = True  # mean row 5, column 11: nothing to round
    assert score(levels, mask).sm == pytest.approx(score(levels, mask, protocol="pranet-matlab").sm, abs=1e-12)


def test_half_is_plain_dice_of_the_unstretched_map() -> None:
    levels = np.array([[127, 128], [10, 200]], np.uint8)
    mask = np.array([[True, True], [False, False]])
    row = score(levels, mask, protocol="half").row()
    assert row["dice"] == row["dice_half"] == pytest.approx(2 * 1 / (2 + 2))
    assert row["iou"] == pytest.approx(1 / 3)
    assert row["mae"] == pytest.approx((128 + 127 + 10 + 200) / 255 / 4)
    dim = np.array([[100, 100], [0, 0]], np.uint8)  # stretched it is perfect, unstretched it is empty
    assert score(dim, mask, protocol="half").dice_half == 0
    assert score(dim, mask, protocol="pranet").dice_half == 1


def test_half_columns_of_pranet_need_more_than_one_half() -> None:
    levels = np.array([[0, 127, 254]], np.uint8)  # 127 becomes exactly 0.5
    mask = np.array([[False, True, True]])
    assert score(levels, mask).recall_half == 0.5
    at_least = replace(PROTOCOLS["pranet"], name="mine", compare=">=")
    assert score(levels, mask, protocol=at_least).recall_half == 1


def plain_ldnet(levels: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    def small(a: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(a).resize((224, 224), Image.Resampling.BILINEAR)) / 255 >= 0.5

    b, g = small(levels), small(mask.astype(np.uint8) * 255)
    tp, fp, fn, tn = (float(v.sum()) for v in (b & g, b & ~g, ~b & g, ~b & ~g))
    tp = tp or 1.0
    p, r = tp / (tp + fp), tp / (tp + fn)
    iou = (tp / (tp + fp + fn) + tn / (tn + fp + fn)) / 2
    return {"dice": 2 * p * r / (p + r), "iou": iou, "precision": p, "recall": r, "specificity": tn / (tn + fp)}


@pytest.mark.parametrize("map_kind", ["near", "noise", "inverse"])
def test_ldnet_equals_its_formulas(map_kind: str, make_pair: Callable) -> None:
    levels, mask = make_pair(1, (120, 300), "blobs", map_kind)
    row = score(levels, mask, protocol="ldnet").row()
    for name, value in plain_ldnet(levels, mask).items():
        assert row[name] == pytest.approx(value, abs=1e-12), name


def test_ldnet_replaces_a_missing_true_positive_by_one() -> None:
    mask = np.zeros((224, 224), bool)
    mask[:10, :10] = True
    row = score(np.zeros((224, 224), np.uint8), mask, protocol="ldnet").row()
    assert row["recall"] == pytest.approx(1 / 101) and row["precision"] == 1


def test_ldnet_takes_a_map_of_its_own_size_for_a_mask_of_any() -> None:
    mask = np.zeros((50, 70), bool)
    mask[10:30, 20:50] = True
    own = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((224, 224), Image.Resampling.BILINEAR))
    assert score(own, mask, protocol="ldnet").dice_half == 1
    with pytest.raises(BenchError, match="map is 224x224 and mask is 70x50"):
        score(own, mask, protocol="half")


def test_minmax_postprocessing_rounds_twice() -> None:
    levels = np.array([[10, 20, 60]], np.uint8)
    mask = np.array([[False, True, True]])
    mine = replace(PROTOCOLS["half"], name="mine", postprocess="minmax")
    assert score(levels, mask, protocol=mine).mae == pytest.approx((0 + (1 - 51 / 255) + 0) / 3)


def test_explicit_thresholds_are_averaged() -> None:
    levels = np.array([[0, 60, 120, 255]], np.uint8)
    mask = np.array([[False, False, True, True]])
    mine = Protocol(name="mine", stretch=False, thresholds=(0.2, 0.4, 0.9), compare=">=")
    scores = score(levels, mask, protocol=mine)
    assert scores.at.shape == (7, 3)
    assert scores.row()["dice"] == pytest.approx(np.mean([4 / 5, 1, 2 / 3]))
    assert score(levels, mask, protocol=mine, engine="reference").row() == pytest.approx(scores.row(), abs=1e-12)


def test_hash_depends_on_numbers_only() -> None:
    pranet = PROTOCOLS["pranet"]
    assert len(pranet.hash) == 8 and int(pranet.hash, 16) >= 0
    assert replace(pranet, name="other", description="words").hash == pranet.hash
    assert len({p.hash for p in PROTOCOLS.values()}) == len(PROTOCOLS) == 6
    changes = {"stretch": False, "mask_threshold": 128, "thresholds": (0.5,), "zero_tp": "one", "iou": "mean"}
    assert all(replace(pranet, **{k: v}).hash != pranet.hash for k, v in changes.items())  # type: ignore[arg-type]
    assert pranet.label == f"pranet ({pranet.hash})"


def test_hashes_of_named_protocols_do_not_drift() -> None:
    """Records on disk carry these; a change of a definition must be seen here first."""
    assert {name: p.hash for name, p in PROTOCOLS.items()} == {
        "pranet": "500d879a",
        "pranet-matlab": "ffceedf4",
        "half": "87323c2d",
        "ldnet": "87f22a5b",
        "half-mean": "b5df565a",
        "half-pixels": "100dbb9b",
    }


def test_own_protocol_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ndescription = "At a third."\nstretch = false\nthresholds = [0.25, 1]\n')
    mine = get_protocol(path)
    assert (mine.name, mine.stretch, mine.thresholds) == ("mine", False, (0.25, 1.0))
    assert get_protocol(str(path)).hash == mine.hash
    path.write_text('name = "as-pranet"\n')
    assert load_protocol(path).hash == PROTOCOLS["pranet"].hash


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "a"\nstrech = false', "did you mean 'stretch'"),
        ('name = "pranet"', "name of its own"),
        ("stretch = false", "name of its own"),
        ('name = "a"\nstretch = 1', "expected true or false"),
        ('name = "a"\nvariant = "octave"', "pysod, matlab"),
        ('name = "a"\nthresholds = [0.5, 2]', "from 0 to 1"),
        ('name = "a"\nthresholds = []', "from 0 to 1"),
        ('name = "a"\nresize = "square"', "size_px = 0"),
        ('name = "a"\nmask_threshold = 300', "0..254"),
        ('name = "a"\ndescription = 3', "must be text"),
        ("name = ", "cannot be read as TOML"),
    ],
)
def test_wrong_file_is_refused_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(BenchError, match=words) as caught:
        load_protocol(path)
    assert "mine.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_every_named_protocol_explains_itself() -> None:
    for protocol in PROTOCOLS.values():
        assert len(protocol.description.split()) > 25 and "\n" not in protocol.description
