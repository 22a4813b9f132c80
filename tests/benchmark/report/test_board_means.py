"""Means of the board without leaked images, where some but not all have leaked."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.report.board.collect import _clean


def test_leaked_images_do_not_count_and_nothing_is_left_of_leaked_ones_alone() -> None:
    values = {"mDSC": np.array([[0.1, 0.5, 0.9], [0.3, 0.7, 0.9]]), "MAE": np.array([[0.4, 0.2, 0.0], [0.4, 0.2, 0.2]])}
    found = _clean(values, np.array([False, True, True]))
    assert found == pytest.approx({"mDSC": 0.2, "MAE": 0.4})
    assert _clean(values, np.array([True, True, True])) is None
