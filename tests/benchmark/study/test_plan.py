"""What a plan says before anything is trained."""

from __future__ import annotations

from pathlib import Path

from benchmark.study.images import subset
from benchmark.study.plan import Request, Study, plan_study


def plan(cache: Path, **overrides: object) -> Study:
    request = Request(
        models=("unet", "bsanet"), datasets=("phantom",), recipe="smoke", overrides=dict(overrides), cache_dir=cache
    )
    return plan_study(request)


def test_an_image_that_no_network_sees_leaks_nothing(shared_cache: Path) -> None:
    """A recipe may take some of the split's training images; leaks are those of the images taken."""
    whole = plan(shared_cache, max_train_images=None, max_val_images=None)
    some = plan(shared_cache, max_train_images=10, max_val_images=2)
    used = {f"{item.dataset}/{item.id}" for item in [*subset(some.split.train, 10), *subset(some.split.val, 2)]}
    twins = [leak.twin for leaks in some.leaks.values() for leak in leaks]
    assert twins and set(twins) <= used
    assert len(twins) < sum(map(len, whole.leaks.values()))


def test_where_training_takes_the_validation_images_too_all_of_them_count(shared_cache: Path) -> None:
    assert (
        plan(shared_cache, select="last_all", max_train_images=10).leaks
        == plan(shared_cache, max_train_images=None, max_val_images=None).leaks
    )
