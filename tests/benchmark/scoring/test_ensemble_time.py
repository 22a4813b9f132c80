"""What predicting takes of the time of an ensemble."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmark.data.listing.items import Item
from benchmark.scoring.ensemble import _Mean


def test_the_time_of_every_batch_counts(tmp_path: Path) -> None:
    items = [Item("kvasir", str(k), tmp_path / f"{k}.png", tmp_path / f"{k}.png", str(k)) for k in range(3)]
    batches: list[tuple[int, int]] = []

    def predict(start: int, part: object) -> None:
        batches.append((start, len(part)))  # type: ignore[arg-type]
        time.sleep(0.02)

    source = _Mean(items, lambda item: item.image_path, lambda item: np.zeros((1, 1), np.uint8), predict, step=2)
    assert list(source) == items and batches == [(0, 2), (2, 1)]
    assert source.seconds >= 0.04
