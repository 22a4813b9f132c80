"""Figures of measures on request that come from columns alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import fbeta_score

from benchmark.metrics.families import precision_figures


def test_f2_is_that_of_scikit_learn_however_small_and_0_where_nothing_is_hit() -> None:
    masks = [[1] * 40 + [0] * 60, [1] * 2 + [0] * 98, [1] * 5 + [0] * 95, [0] * 90 + [1] * 10]
    maps = [[0] * 38 + [1] * 60 + [0] * 2, [1] + [0] + [1] * 90 + [0] * 8, [0] * 5 + [1] * 95, [0] * 90 + [1] * 10]
    truth, found = np.array(masks), np.array(maps)
    hits = (truth & found).sum(axis=1)
    columns = {"precision_half": hits / found.sum(axis=1), "recall_half": hits / truth.sum(axis=1)}
    rows = {**columns, "dice_half": np.ones(4), "iou_half": np.ones(4)}
    expected = [fbeta_score(t, f, beta=2, zero_division=0) for t, f in zip(truth, found, strict=True)]
    small = 4 * columns["precision_half"] + columns["recall_half"]
    assert ((small > 0) & (small < 1)).any() and 0 in expected
    assert precision_figures(rows)["f2_half"] == pytest.approx(np.mean(expected))
