"""Where the seed draws the training images, it is the seed of that training."""

from __future__ import annotations

from pathlib import Path

import pytest

import benchmark as bench
from benchmark.config import Recipe
from benchmark.study.images import TrainingImages
from benchmark.study.plan import Study
from benchmark.tuning.trial import trial_seed

FAST = {
    "epochs": 1,
    "image_size": 32,
    "max_train_images": 4,
    "max_val_images": 2,
    "max_test_images": 1,
    "batch_size": 4,
}
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, image):
        return (self.body(image),)

def build():
    return Net()
"""


def test_each_training_and_each_trial_draws_by_its_own_seed(
    tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    choose = Study.training_images

    def spy(study: Study, recipe: Recipe, seed: int) -> TrainingImages:
        asked.append(seed)
        return choose(study, recipe, seed)

    monkeypatch.setattr(Study, "training_images", spy)
    (tmp_path / "net.py").write_text(NET)
    fixed = {
        "datasets": "phantom-kvasir", "recipe": "smoke", "overrides": {**FAST, "train_subset": "seed"},
        "results": tmp_path / "results", "cache_dir": shared_cache,
    }  # fmt: skip
    bench.run(f"{tmp_path / 'net.py'}:build", seeds=(3, 5), **fixed)
    assert asked == [3, 5]
    asked.clear()
    bench.tune(f"{tmp_path / 'net.py'}:build", trials=2, seed=1, **fixed)
    assert asked == [trial_seed(1, 0), trial_seed(1, 1)]
