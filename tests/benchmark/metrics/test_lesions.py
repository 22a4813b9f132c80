"""Lesions against scikit-image's components and an assignment, and against a flood fill written out plainly."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.errors import BenchError
from benchmark.metrics.families import calibration, lesions
from benchmark.metrics.lesions import LEAST_SHARE, count_lesions, lesion_counts, lesion_figures

SHAPE = (24, 31)
EMPTY, FULL = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
KINDS = ("noise", "blobs", "one_pixel", "diagonal", "border", "all_but_one")


def dots(*places: tuple[int, int], size: int = 3) -> np.ndarray:
    """Return squares with these upper left corners."""
    mask = EMPTY.copy()
    for y, x in places:
        mask[y : y + size, x : x + size] = True
    return mask


def flood(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """Return the 8-connected parts of a mask as sets of pixels, one step at a time."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    parts = []
    while left:
        part, edge = set(), [min(left)]
        while edge:
            y, x = edge.pop()
            if (y, x) in left:
                left.remove((y, x))
                part.add((y, x))
                edge += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        parts.append(part)
    return parts


def plain(pred: np.ndarray, mask: np.ndarray, min_iou: float) -> dict[str, int]:
    """The rule of ``count_lesions`` with sets: the best pair of what is left, again and again."""
    lesions, parts = flood(mask), flood(pred)
    free_lesions, free_parts, found = set(range(len(lesions))), set(range(len(parts))), 0
    while free_lesions and free_parts:
        iou, i, j = max(
            (len(lesions[i] & parts[j]) / len(lesions[i] | parts[j]), -i, -j) for i in free_lesions for j in free_parts
        )
        if iou < min_iou:
            break
        found += 1
        free_lesions.remove(-i)
        free_parts.remove(-j)
    return {"num_lesions": len(lesions), "num_found": found, "num_parts": len(parts)}


@pytest.mark.parametrize("min_iou", [0.1, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_counts_equal_a_flood_fill(kind: str, min_iou: float, make_pair: Callable) -> None:
    for seed, map_kind in enumerate(("near", "noise", "perfect", "inverse")):
        levels, mask = make_pair(seed, SHAPE, kind, map_kind)
        assert count_lesions(levels >= 128, mask, min_iou=min_iou) == plain(levels >= 128, mask, min_iou)


def scattered(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return some blobs, and the same blobs grown, moved and thinned out."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.standard_normal((90, 120)), 3)
    return field + gaussian_filter(rng.standard_normal(field.shape), 3) * 0.5 > 0.11, field > 0.1


@pytest.mark.parametrize("seed", range(6))
def test_matches_equal_scikit_image_and_an_assignment(seed: int) -> None:
    """From IoU 0.5 on a pair is the only one of both its members, so any matching finds the same."""
    measure = pytest.importorskip("skimage.measure")
    from scipy.optimize import linear_sum_assignment

    pred, mask = scattered(seed)

    def remove(a: np.ndarray, least: float) -> np.ndarray:
        return pytest.importorskip("skimage.morphology").remove_small_objects(a, math.ceil(least), connectivity=2)

    lesions, parts = (measure.label(remove(a, LEAST_SHARE * a.size), connectivity=2) for a in (mask, pred))
    iou = np.zeros((lesions.max(), parts.max()))
    for lesion in measure.regionprops(lesions):
        for part in measure.regionprops(parts):
            a, b = {tuple(p) for p in lesion.coords}, {tuple(p) for p in part.coords}
            iou[lesion.label - 1, part.label - 1] = len(a & b) / len(a | b)
    for min_iou in (0.5001, 0.7):
        rows, cols = linear_sum_assignment(-(iou >= min_iou).astype(float))
        expected = int((iou[rows, cols] >= min_iou).sum())
        got = count_lesions(pred, mask, min_iou=min_iou)
        assert got == {"num_lesions": iou.shape[0], "num_found": expected, "num_parts": iou.shape[1]}
        assert 0 < expected < iou.shape[0] or min_iou > 0.6


def test_degenerate_masks_and_maps() -> None:
    pixel = dots((5, 5), size=1)
    border = EMPTY.copy()
    border[0] = border[:, 0] = True
    cases = {
        "nothing": (EMPTY, EMPTY, (0, 0, 0)),
        "an empty map misses": (EMPTY, pixel, (1, 0, 0)),
        "a false alarm": (pixel, EMPTY, (0, 0, 1)),
        "everything called": (FULL, pixel, (1, 0, 1)),
        "full mask": (FULL, FULL, (1, 1, 1)),
        "one pixel": (pixel, pixel, (1, 1, 1)),
        "border": (border, border, (1, 1, 1)),
        "corners join": (dots((2, 2), (5, 5)), dots((2, 2), (5, 5)), (1, 1, 1)),
        "half of a lesion each": (dots((2, 2), size=2) | dots((2, 5), size=2), dots((2, 2), size=5), (1, 0, 2)),
    }
    for name, (pred, mask, expected) in cases.items():
        assert tuple(count_lesions(pred, mask).values()) == expected, name


def test_specks_are_neither_lesions_nor_alarms() -> None:
    """Pixels that JPEG left beside an outline, in mask or map; from 0.01 % of the image on a part counts."""
    polyp = np.zeros((200, 200), bool)  # 0.01 % are 4 px
    polyp[50:90, 50:90] = True
    small, least = np.zeros_like(polyp), np.zeros_like(polyp)
    small[10, 10:13] = True
    least[10, 10:14] = True
    assert count_lesions(polyp | small, polyp) == {"num_lesions": 1, "num_found": 1, "num_parts": 1}
    assert count_lesions(polyp, polyp | small) == {"num_lesions": 1, "num_found": 1, "num_parts": 1}
    assert count_lesions(small, small) == {"num_lesions": 0, "num_found": 0, "num_parts": 0}
    assert count_lesions(polyp | least, polyp) == {"num_lesions": 1, "num_found": 1, "num_parts": 2}
    assert count_lesions(least | polyp, least | polyp) == {"num_lesions": 2, "num_found": 2, "num_parts": 2}


def test_two_parts_on_one_lesion_find_it_once() -> None:
    mask = dots((2, 2), size=6)
    pred = mask.copy()
    pred[:, 6] = False  # splits off the last column: IoU 24/36 and 6/36
    assert count_lesions(pred, mask, min_iou=0.1) == {"num_lesions": 1, "num_found": 1, "num_parts": 2}


def test_maps_are_cut_at_half_as_they_are() -> None:
    mask = dots((2, 2), size=4)
    assert lesion_counts(np.where(mask, 128, 0).astype(np.uint8), mask)["num_found"] == 1
    assert lesion_counts(np.where(mask, 127, 0).astype(np.uint8), mask)["num_parts"] == 0


def test_figures_are_taken_over_the_whole_set() -> None:
    rows = {
        "num_lesions": np.array([2, 1, 0, 0, 0]),
        "num_found": np.array([1, 0, 0, 0, 0]),
        "num_parts": np.array([3, 0, 0, 4, 1]),
    }
    expected = {"num_lesions": 3, "num_negative": 3, "lesion_sensitivity": 1 / 3, "lesion_precision": 1 / 8}
    expected |= {"image_fpr": 2 / 3, "image_specificity": 1 / 3, "false_parts": 5 / 3}
    assert lesion_figures(rows) == pytest.approx(expected)
    none = {key: values[2:3] for key, values in rows.items()}  # one image without a polyp, rightly left empty
    assert lesion_figures(none) == {
        "num_lesions": 0,
        "num_negative": 1,
        "lesion_sensitivity": None,
        "lesion_precision": None,
        "image_fpr": 0,
        "image_specificity": 1,
        "false_parts": 0,
    }
    polyp = {key: values[1:2] for key, values in rows.items()}
    assert lesion_figures(polyp)["lesion_sensitivity"] == 0 and lesion_figures(polyp)["image_fpr"] is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(BenchError, match="boolean"):
        count_lesions(EMPTY.astype(int), EMPTY)
    with pytest.raises(BenchError, match="5x5"):
        count_lesions(np.eye(5, dtype=bool), EMPTY)
    for overlap in (0, -1, 1.1, float("nan")):
        with pytest.raises(BenchError, match="overlap"):
            count_lesions(EMPTY, EMPTY, min_iou=overlap)


def test_codes_of_kept_measures_change_with_their_rule_alone() -> None:
    """Files of measures that were kept are found by these: whoever changes a rule gives it a new number, and these."""
    assert (lesions(0.5).code, calibration().code) == ("3fb498d0", "f1ba86cd")
    assert lesions(0.3).code != lesions(0.5).code
