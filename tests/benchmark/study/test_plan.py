"""What a plan says before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.study.cells import weights_file
from benchmark.study.images import subset
from benchmark.study.plan import Request, Study, plan_study, resolve_models


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


def test_a_seed_may_draw_the_training_images(shared_cache: Path) -> None:
    """The draw follows from the seed alone, and leaks are counted against all that any seed could have drawn."""
    limit = {"max_train_images": 10, "max_val_images": 2}
    drawn, even = plan(shared_cache, train_subset="seed", **limit), plan(shared_cache, **limit)
    names = {
        (study is drawn, model, seed): [
            item.id for item in study.training_images(recipe_of(study, model), seed).train
        ]
        for study in (drawn, even) for model in ("unet", "bsanet") for seed in (0, 1)
    }  # fmt: skip
    assert len(set(names[True, "unet", 0])) == 10 and names[True, "unet", 0] == names[True, "bsanet", 0]
    assert names[True, "unet", 0] != names[True, "unet", 1]
    assert names[False, "unet", 0] == names[False, "unet", 1] != names[True, "unet", 0]
    assert drawn.leaks == plan(shared_cache, max_train_images=None, max_val_images=None).leaks
    assert {cell.id for cell in drawn.cells}.isdisjoint(cell.id for cell in even.cells)
    whole = plan(shared_cache, train_subset="seed", max_train_images=None)
    assert len(whole.training_images(recipe_of(whole, "unet"), 0).train) == len(whole.split.train)


def recipe_of(study: Study, model: str) -> Recipe:
    return next(cell.recipe for cell in study.cells if cell.spec.name == model)


def test_weights_of_an_encoder_that_is_an_option_are_part_of_the_hash(shared_cache: Path, tmp_path: Path) -> None:
    """BSANet takes two files of --weights-dir with ResNeXt-50's first layers, one without."""
    (tmp_path / "bsanet.pth").write_bytes(b"swin")
    encoder = tmp_path / "resnext50_32x4d.safetensors"

    def cell(**overrides: object) -> str:
        request = Request(
            models=("bsanet",), datasets=("phantom-kvasir",), recipe="smoke", weights_dir=tmp_path,
            overrides={"pretrained": True, **overrides}, cache_dir=shared_cache,
        )  # fmt: skip
        return plan_study(request).cells[0].id

    found = []
    for content in (b"one", b"two"):
        encoder.write_bytes(content)
        found.append((cell(), cell(model_options={"encoder": "resnext50_32x4d"})))
    (plain, first), (same, second) = found
    assert plain == same and first != second and plain not in (first, second)


def test_weights_of_a_folder_are_for_recipes_that_start_from_weights(tmp_path: Path) -> None:
    request = Request(models=("unet",), recipe="smoke", overrides={"pretrained": True})
    ((spec, recipe),) = resolve_models(request)
    path = tmp_path / "unet.pth"
    path.write_bytes(b"weights")
    assert weights_file(tmp_path, spec, recipe) == path
    assert weights_file(None, spec, recipe) is None
    assert weights_file(tmp_path, spec, recipe.model_copy(update={"pretrained": False})) is None
    with pytest.raises(BenchError, match=f"--weights-dir {tmp_path / 'none'}: no unet.pth"):
        weights_file(tmp_path / "none", spec, recipe)


@pytest.mark.parametrize("empty", ["models", "datasets", "seeds"])
def test_a_request_without_models_sets_or_seeds_is_refused(empty: str) -> None:
    asked: dict[str, Any] = {"models": ["unet"], "datasets": ["phantom-kvasir"], "seeds": [0], empty: []}
    with pytest.raises(BenchError, match="nothing to run"):
        resolve_models(Request(recipe="smoke", **asked))
