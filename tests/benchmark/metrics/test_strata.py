"""Facts of a mask: area, size bin, number of polyps, touching the border."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.metrics.strata import mask_facts, size_bin


def test_facts_of_two_polyps_joined_at_a_corner() -> None:
    mask = np.zeros((20, 50), bool)
    mask[2:4, 2:4] = mask[4:6, 4:6] = True  # one component only if corners join
    mask[10:12, 30:40] = True
    assert mask_facts(mask) == {
        "height_px": 20,
        "width_px": 50,
        "mask_px": 28,
        "area_rel": 0.028,
        "size_bin": "small",
        "num_polyps": 2,
        "touches_border": False,
    }


@pytest.mark.parametrize("edge", [np.s_[0, 3], np.s_[-1, 3], np.s_[3, 0], np.s_[3, -1]])
def test_touching_any_border_counts(edge: tuple[int, int]) -> None:
    mask = np.zeros((8, 9), bool)
    mask[3, 3] = True
    assert mask_facts(mask)["touches_border"] is False
    mask[edge] = True
    assert mask_facts(mask)["touches_border"] is True


def test_size_limits_are_as_stated() -> None:
    bins = [size_bin(area) for area in (0, 0.0499, 0.05, 0.1499, 0.15, 1)]
    assert bins == ["empty", "small", "medium", "medium", "large", "large"]


def test_empty_mask_has_no_polyp() -> None:
    facts = mask_facts(np.zeros((4, 4), bool))
    assert facts["num_polyps"] == 0 and facts["size_bin"] == "empty"


def test_grey_mask_is_refused() -> None:
    with pytest.raises(BenchError, match="mask > 127"):
        mask_facts(np.zeros((4, 4), np.uint8))
