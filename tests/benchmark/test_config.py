"""Recipes: defaults are the paper's, TOML is strict, the hash covers what changes a number."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from benchmark.config import Recipe, config_hash, derive_seed
from benchmark.errors import BenchError
from benchmark.recipes.explain import field_rows, recipe_rows
from benchmark.recipes.meanings import MEANINGS
from benchmark.recipes.read import load_recipe, parse_overrides, recipe_names


def test_paper_recipe_is_the_papers() -> None:
    recipe = load_recipe("paper", model="unet")
    stated = (recipe.image_size, recipe.batch_size, recipe.optimizer, recipe.lr, recipe.epochs, recipe.augmentation)
    assert stated == (256, 16, "adam", 1e-3, 120, ())
    assert recipe.select == "best" and recipe.select_metric.startswith("val_")


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.parametrize("model", ["unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet"])
def test_every_packaged_recipe_resolves_for_every_model(name: str, model: str) -> None:
    assert load_recipe(name, model=model).name == name


@pytest.mark.parametrize("name", ["paper", "smoke", "quick"])
def test_comparison_recipes_treat_all_models_alike(name: str) -> None:
    models = ("unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet")
    hashes = {load_recipe(name, model=m, overrides={"pretrained": False}).hash for m in models}
    assert len(hashes) == 1


def test_the_paper_starts_bsanets_swin_blocks_from_imagenet_and_names_no_other_weights() -> None:
    assert load_recipe("paper", model="bsanet").pretrained
    assert not any(
        load_recipe("paper", model=m).pretrained for m in ("unet", "unetplusplus", "pranet", "sanet", "ldnet")
    )


def test_rates_of_groups_change_the_hash_only_where_they_are_set() -> None:
    base = Recipe()
    assert base.model_copy(update={"lr_factors": {}, "lr_warmups": {}}).hash == base.hash
    factor, warmup = Recipe(lr_factors={"swin": 0.1}), Recipe(lr_warmups={"swin": 5})
    assert len({base.hash, factor.hash, warmup.hash, Recipe(lr_factors={"swin": 0.2}).hash}) == 4
    overrides = parse_overrides(["lr_factors={swin = 0.1}"])
    assert load_recipe("smoke", model="bsanet", overrides=overrides).lr_factors == {"swin": 0.1}
    with pytest.raises(BenchError, match=r"lr_factors\.swin = -1"):
        load_recipe("smoke", model="bsanet", overrides={"lr_factors": {"swin": -1}})


def test_hash_changes_with_every_field_but_the_name() -> None:
    base = Recipe()
    assert base.model_copy(update={"name": "other"}).hash == base.hash
    changed = {
        "lr": 2e-3,
        "epochs": 3,
        "augmentation": ("hflip",),
        "loss": "dice",
        "pretrained": True,
        "postprocess": "minmax",
        "max_test_images": 3,
    }
    hashes = {base.model_copy(update={key: value}).hash for key, value in changed.items()}
    assert len(hashes | {base.hash}) == len(changed) + 1


def test_per_model_tables_override_the_base(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("lr = 0.5\n[models.pranet]\nlr = 0.25\n", encoding="utf-8")
    assert load_recipe(str(file), model="unet").lr == 0.5
    assert load_recipe(str(file), model="pranet").lr == 0.25
    assert load_recipe(str(file), model="pranet", overrides={"lr": 0.125}).lr == 0.125


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr = -1", "lr = -1"),
        ("epohcs = 3", "epochs"),
        ("image_size = 100", "image_size"),
        ("lr = [", "not valid TOML"),
    ],
)
def test_a_fault_in_a_recipe_file_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BenchError) as caught:
        load_recipe(str(file), model="unet")
    assert expected in str(caught.value) and "mine.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_overrides_are_toml_values_and_bare_words() -> None:
    given = ["lr=1e-4", "augmentation=['hflip']", "optimizer=sgd", "encoder=none", "pretrained=true"]
    assert parse_overrides(given) == {
        "lr": 1e-4,
        "augmentation": ["hflip"],
        "optimizer": "sgd",
        "encoder": None,
        "pretrained": True,
    }


@pytest.mark.parametrize(("pair", "hint"), [("lr", "key=value"), ("epoch=3", "did you mean 'epochs'")])
def test_a_bad_override_says_what_was_expected(pair: str, hint: str) -> None:
    with pytest.raises(BenchError, match=hint):
        parse_overrides([pair])


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(BenchError, match="did you mean 'smoke'"):
        load_recipe("smoky", model="unet")


def test_seeds_depend_on_names_alone() -> None:
    assert derive_seed("order", 0, 1) == derive_seed("order", 0, 1)
    assert len({derive_seed("order", s, e) for s in range(5) for e in range(5)}) == 25
    assert 0 <= derive_seed("x") < 2**63


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("early_stopping", "patience"),
        ("EMA", "ema_decay"),
        ("albumentations", "transforms"),
        ("tta", "postprocess"),
        ("focal", "loss"),
        ("learning_rate", "lr"),
        ("AMP", "precision"),
    ],
)
def test_a_field_by_another_programs_name_is_explained(given: str, meant: str) -> None:
    with pytest.raises(BenchError, match=f"unknown field '{given}': .*{meant}.*bench recipes --fields"):
        parse_overrides([f"{given}=1"])


def test_every_word_that_is_explained_names_a_field_or_an_option() -> None:
    words = {word for text in MEANINGS.values() for word in re.findall(r"[a-z_]+", text)}
    assert not set(MEANINGS) & set(Recipe.model_fields), "a field that exists needs no translation"
    assert {"lr", "select", "postprocess", "micro_batch", "precision"} <= words & set(Recipe.model_fields)


def test_every_field_is_explained_with_values_and_default() -> None:
    rows = {row["field"]: row for row in field_rows()}
    assert set(rows) == set(Recipe.model_fields)
    assert all(row["what"] and row["values"] and row["default"] for row in rows.values())
    assert rows["epochs"]["values"].startswith("whole number >= 1") and rows["epochs"]["default"] == "120"
    assert "adam, adamw, sgd" in rows["optimizer"]["values"]


def test_every_packaged_recipe_is_listed_with_its_first_line() -> None:
    rows = {row["recipe"]: row["what"] for row in recipe_rows()}
    assert {"paper", "quick", "smoke"} <= set(rows) and all(rows.values()), rows
    smoke = resources.files("benchmark.recipes") / "smoke.toml"
    assert smoke.read_text(encoding="utf-8").startswith(f"# {rows['smoke']}\n")


def test_a_hash_depends_on_no_order_of_keys() -> None:
    assert config_hash({"a": 1, "b": {"c": 2, "d": 3}}) == config_hash({"b": {"d": 3, "c": 2}, "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 2}) and len(config_hash({})) == 8
