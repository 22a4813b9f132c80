"""Noise as augmentation and denoising as recipe fields: drawn from the generator alone, hashed, refused together."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from benchmark.config import Denoise, Noise, Recipe
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.pixels.cache import open_cache
from benchmark.data.pixels.draws import Draws, Rows
from benchmark.data.pixels.noise import draw_noise
from benchmark.errors import BenchError
from benchmark.recipes.read import load_recipe, validate_recipe
from benchmark.robustness.corruptions import CORRUPTIONS, GROUPS
from benchmark.robustness.denoising.classical import FRONT_ENDS


def batch(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 64, 64, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def draw(images: torch.Tensor, rows: Rows, seed: int = 5) -> torch.Tensor:
    return draw_noise(images[rows.slice], ("shot_noise", "jpeg"), Draws(torch.Generator().manual_seed(seed), rows))


def test_half_of_the_images_are_corrupted_and_a_share_of_a_batch_gets_what_the_whole_would() -> None:
    images = batch(64)
    whole = draw(images, Rows(0, 64, 64))
    changed = (whole != images).flatten(1).any(1)
    assert 20 <= int(changed.sum()) <= 44
    assert torch.equal(torch.cat([draw(images, Rows(0, 30, 64)), draw(images, Rows(30, 64, 64))]), whole)
    assert not torch.equal(draw(images, Rows(0, 64, 64), seed=6), whole)


def test_an_image_that_the_corruption_does_not_apply_to_stays() -> None:
    grey = batch(8)[..., :1].expand(-1, -1, -1, 3).contiguous()
    rows = Rows(0, 8, 8)
    assert torch.equal(draw_noise(grey, ["colour_cast"], Draws(torch.Generator().manual_seed(0), rows)), grey)


def test_the_recipes_names_are_the_registrys() -> None:
    assert set(get_args(Noise)) == set(GROUPS["all"]) - {"low_dose_ct"} == set(CORRUPTIONS) - {"low_dose_ct"}
    assert set(get_args(Denoise)) == set(FRONT_ENDS)


def test_both_fields_are_hashed_and_older_hashes_hold() -> None:
    then = {"image_size": 128, "epochs": 10, "lr": 1e-3, "max_train_images": 200, "train_subset": "even"}
    plain = load_recipe("cpu-study", model="unet", overrides=then)
    assert plain.hash == "cb40b92f"  # of records made before the fields were there
    changed = [plain.model_copy(update=fields) for fields in ({"denoise": "nlm"}, {"noise": ("jpeg",)})]
    assert len({plain.hash, *(recipe.hash for recipe in changed)}) == 3


def test_noise_and_denoising_exclude_each_other() -> None:
    with pytest.raises(BenchError, match="noise and denoise = tv exclude each other"):
        validate_recipe({"noise": ["jpeg"], "denoise": "tv"}, where="recipe mine")
    with pytest.raises(BenchError, match="recipe mine: noise"):
        validate_recipe({"noise": ["low_dose_ct"]}, where="recipe mine")
    assert Recipe().denoise == "none" and Recipe().noise == ()


def test_the_cache_denoises_at_the_images_own_size_and_is_another_one(shared_cache: Path) -> None:
    items = list_dataset("phantom-kvasir", cache_dir=shared_cache)[:3]
    caches = [open_cache(items, size=48, denoise=name, cache_dir=shared_cache) for name in ("none", "gaussian")]
    assert (
        caches[0].folder
        != caches[1].folder
        == open_cache(items, size=48, denoise="gaussian", cache_dir=shared_cache).folder
    )
    assert not np.array_equal(caches[0].images, caches[1].images)
    assert np.array_equal(caches[0].masks, caches[1].masks)
