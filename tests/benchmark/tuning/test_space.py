"""The search space: strict, the same for all, and what it draws is a recipe."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.recipes.read import load_recipe, recipe_names
from benchmark.tuning.space import Pruner, load_space


def test_the_packaged_space_fits_every_packaged_recipe() -> None:
    space = load_space(None)
    assert set(space.search) == {"lr", "weight_decay", "loss", "augmentation", "encoder"}
    assert space.pruner == Pruner() == Pruner(startup_trials=5, warmup_epochs=1), "as the room's README says"
    assert set(space.of(takes_encoder=False)) == set(space.search) - {"encoder"}
    for name in recipe_names():
        space.check(load_recipe(name, model="unet"))


def test_draws_lie_in_the_space(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        "[search.lr]\nlow=1e-3\nhigh=1e-2\nlog=true\n[search.batch_size]\nlow=2\nhigh=4\n"
        "[search.augmentation]\nchoices=[[], ['hflip']]\n"
    )
    space = load_space(tmp_path / "s.toml")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        drawn = {field: one.suggest(trial, field) for field, one in space.search.items()}
        assert (
            1e-3 <= drawn["lr"] <= 1e-2
            and drawn["batch_size"] in (2, 3, 4)
            and drawn["augmentation"] in ([], ["hflip"])
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[search.lrr]\nlow=1\nhigh=2", "lr"),
        ("[search.lr]\nlow=1", "low and high"),
        ("[search.lr]\nlow=2\nhigh=1", "below"),
        ("[search.lr]\nlow=0\nhigh=1\nlog=true", "above 0"),
        ("[search.lr]\nstep=1\nlow=0\nhigh=1", "search.lr"),
        ("[search.image_size]\nchoices=[64, 96]", "--set image_size="),
        ("[search.lr]\nlow=0.1\nhigh=1\n[pruner]\nstartup=1", "pruner"),
        ("[serach.lr]\nlow=0.1\nhigh=1", "search"),
        ("", "[search.lr]"),
        ("a =", "TOML"),
    ],
)
def test_a_wrong_space_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(BenchError, match="search space") as caught:
        load_space(tmp_path / "s.toml")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_value_that_no_recipe_may_have_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[search.loss]\nchoices=['bce', 'bcee']\n")
    with pytest.raises(BenchError, match="bcee"):
        load_space(tmp_path / "s.toml").check(Recipe())  # type: ignore[call-arg]


def test_tuning_changes_the_hash_and_its_absence_does_not() -> None:
    plain = Recipe()  # type: ignore[call-arg]
    assert plain.hash == "dc1b0818", "as before recipes could be tuned"
    assert plain.model_copy(update={"tuned_trials": 3}).hash != plain.hash
