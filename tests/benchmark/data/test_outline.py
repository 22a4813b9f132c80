"""Outlines on images: inside the mask or around it, everything else untouched."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.files.outline import draw_outline, draw_ring
from benchmark.metrics.aggregate import worst_first

GREY = np.full((9, 9, 3), 100, dtype=np.uint8)
SQUARE = np.zeros((9, 9), dtype=bool)
SQUARE[2:7, 2:7] = True


@pytest.mark.parametrize("width", [1, 2])
def test_an_outline_is_inside_and_as_wide_as_asked(width: int) -> None:
    drawn = draw_outline(GREY, SQUARE, (255, 0, 0), width=width, fill=0.5)
    core = np.zeros_like(SQUARE)
    core[2 + width : 7 - width, 2 + width : 7 - width] = True
    assert (drawn[SQUARE & ~core] == (255, 0, 0)).all()
    assert (drawn[core] == (178, 50, 50)).all(), "half of the colour, 177.5 rounded to even"
    assert (drawn[~SQUARE] == 100).all() and (GREY == 100).all()


def test_a_ring_is_outside_with_a_halo_and_leaves_the_mask_alone() -> None:
    dot = np.zeros((9, 9), dtype=bool)
    dot[4, 4] = True
    drawn = draw_ring(GREY, dot, (255, 255, 0), (0, 0, 0))
    distance = np.abs(np.indices((9, 9)) - 4).sum(0)  # in steps between neighbours
    assert (drawn[distance == 1] == (255, 255, 0)).all() and (drawn[distance == 2] == 0).all()
    assert (drawn[(distance == 0) | (distance > 2)] == 100).all()


def test_an_empty_mask_draws_nothing() -> None:
    empty = np.zeros((9, 9), dtype=bool)
    assert (draw_outline(GREY, empty, (255, 0, 0), width=3) == GREY).all()
    assert (draw_ring(GREY, empty, (255, 0, 0), (0, 0, 0)) == GREY).all()


def test_the_worst_come_first_and_equal_scores_keep_their_order() -> None:
    scores = [0.5, 0.1, 0.9, 0.1]
    assert worst_first(scores).tolist() == [1, 3, 0, 2]
    assert worst_first(scores, higher_is_better=False).tolist() == [2, 0, 1, 3]
