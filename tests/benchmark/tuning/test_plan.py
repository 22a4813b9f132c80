"""What a tuning plan holds before any trial runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.errors import BenchError
from benchmark.study.plan import Request
from benchmark.tuning.plan import Asked, plan_tuning


def asked(cache: Path, results: Path, **overrides: object) -> Asked:
    request = Request(
        models=("unet", "pranet"), datasets=("phantom-kvasir",), recipe="smoke", overrides=dict(overrides),
        seeds=(3, 4), results=results, cache_dir=cache,
    )  # fmt: skip
    return Asked(request, trials=2)


def test_each_model_is_tuned_once_by_the_first_seed_and_sees_no_test_set(shared_cache: Path, tmp_path: Path) -> None:
    plan = plan_tuning(asked(shared_cache, tmp_path))
    assert [(one.cell.spec.name, one.cell.seed) for one in plan.targets] == [("unet", 3), ("pranet", 3)]
    assert plan.images.split.tests == {} and len({one.study for one in plan.targets}) == 2


def test_a_recipe_that_trains_on_the_validation_images_cannot_be_tuned(shared_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"trains on the validation images .* cannot judge a trial"):
        plan_tuning(asked(shared_cache, tmp_path, select="last_all"))
