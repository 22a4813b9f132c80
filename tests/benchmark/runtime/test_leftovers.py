"""What a cell leaves beside its record: the network in words, the machine's load, the worst images."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from torch import nn

from benchmark.data.listing.items import Item
from benchmark.models.summary import model_summary
from benchmark.report.figures.worst_images import draw_worst
from benchmark.runtime.load import Sampler


def test_the_summary_counts_shared_parameters_once() -> None:
    layer = nn.Linear(3, 4)  # 16 parameters
    text = model_summary(nn.ModuleDict({"one": layer, "two": layer, "three": nn.Conv2d(3, 1, 1)}), "Net")
    head, _, *parts = text.splitlines()
    assert head == "Net: 20 parameters, 20 of them trainable"
    assert [line.split() for line in parts[:2]] == [["one", "Linear", "16"], ["three", "Conv2d", "4"]]


def test_a_long_run_is_sampled_and_a_short_one_is_not() -> None:
    with Sampler(after_s=0.0, interval_s=0.02) as long:
        end = time.monotonic() + 10
        while len(long.rows) < 2 and time.monotonic() < end:
            time.sleep(0.02)
    assert len(long.rows) >= 2 and long.rows[0]["time_s"] < long.rows[1]["time_s"]
    assert long.rows[-1]["process_memory_usage_megabytes"] > 10
    assert 0 <= long.rows[-1]["cpu_utilization_percentage"] <= 100
    with Sampler(after_s=30.0, interval_s=0.01) as short:
        time.sleep(0.05)
    assert short.rows == []


def test_a_run_of_days_keeps_few_samples(monkeypatch) -> None:
    monkeypatch.setattr("benchmark.runtime.load._MOST_ROWS", 4)
    with Sampler(after_s=0.0, interval_s=0.001) as sampler:
        time.sleep(0.3)
    assert 0 < len(sampler.rows) <= 5


def test_the_worst_images_are_drawn_worst_first(tmp_path: Path) -> None:
    items, dice = [], [0.9, 0.1, 0.5, 0.7, 0.3, 0.8]
    for number in range(len(dice)):
        image, mask = tmp_path / f"{number}.png", tmp_path / f"m{number}.png"
        Image.fromarray(np.full((40, 60, 3), 40 * number, np.uint8)).save(image)
        Image.fromarray(np.full((40, 60), 255, np.uint8)).save(mask)
        Image.fromarray(np.full((40, 60), 10 * number, np.uint8)).save(tmp_path / f"p{number}.png")
        items.append(Item("own", str(number), image, mask, ""))
    rows = pd.DataFrame({"protocol": "pranet", "id": [item.id for item in items], "dice": dice})
    rows = pd.concat([rows, rows.assign(protocol="half", dice=0.0)])
    draw_worst(tmp_path / "worst.png", rows, items, lambda item: tmp_path / f"p{item.id}.png")
    sheet = np.asarray(Image.open(tmp_path / "worst.png"))
    centres = [(14 + 80) + line * (160 + 14) for line in range(4)]
    assert [int(sheet[y, 80, 0]) for y in centres] == [40, 160, 80, 120]  # images 1, 4, 2, 3
    assert [int(sheet[y, 240, 0]) for y in centres] == [255] * 4
    assert [int(sheet[y, 400, 0]) for y in centres] == [10, 40, 20, 30]
