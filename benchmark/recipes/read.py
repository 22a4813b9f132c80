"""Recipes from TOML files and from ``key=value`` options; every error is one line that names the file and the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.config import Recipe
from benchmark.errors import BenchError, unknown_name
from benchmark.recipes.meanings import MEANINGS
from benchmark.recipes.selection import authors_rule, selection_asked, take_rules
from benchmark.untrusted import MAX_TOML_BYTES, FormatFault, parse_toml, read_text


def recipe_names() -> list[str]:
    """Names of the packaged recipes."""
    files = resources.files("benchmark.recipes").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def load_recipe(name: str, *, model: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Resolve a recipe for one model.

    Args:
        name: A packaged recipe, or the path of a TOML file.
        model: Registry name; the file's ``[models.<model>]`` table, if any, overrides its other fields.
        overrides: Fields given on the command line; they win over the file. ``select = "test"`` stands for the test
            sets by which the model's authors pick their checkpoint (the recipe's table ``test_selection``).
    Raises:
        BenchError: Unknown recipe or field, a value out of range, or a file that picks checkpoints on test images.
    """
    table = _read_toml(name)
    per_model = table.pop("models", {})
    rules = take_rules(table, name)
    if not isinstance(per_model, dict) or not all(isinstance(table, dict) for table in per_model.values()):
        raise BenchError(f"recipe {name}: 'models' must be a table such as [models.pranet]")
    base_name = model.split(":")[0]
    fields = {"name": Path(name).stem, **table, **per_model.get(base_name, {}), **per_model.get(model, {})}
    asked = selection_asked(overrides or {}, fields.get("select"), rules, recipe=name, model=model)
    return validate_recipe({**fields, **asked}, where=f"recipe {name}")


def authors_selection(name: str, model: str) -> str:
    """Return what ``--set select=test`` stands for in a packaged recipe; empty for a model or a recipe without it."""
    return authors_rule(take_rules(_read_toml(name), name), model) if name in recipe_names() else ""


def unknown_field(key: str) -> str:
    """Return the message for an unknown field, with the field that is meant, by synonym or by spelling."""
    meant = MEANINGS.get(key.lower().replace("-", "_"))
    if meant is not None:
        return f"unknown field {key!r}: {meant}; 'bench recipes --fields' explains the fields"
    return f"{unknown_name('field', key, Recipe.model_fields)}; 'bench recipes --fields' explains them"


def validate_recipe(fields: Mapping[str, Any], *, where: str) -> Recipe:
    """Build a ``Recipe``, turning the first error into a one-line ``BenchError`` that starts with ``where``."""
    for key in fields:
        if key not in Recipe.model_fields:
            raise BenchError(f"{where}: {unknown_field(key)}")
    try:
        recipe = Recipe(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BenchError(f"{where}: {field} = {first.get('input')!r}: {_fault(first)}") from None
    if recipe.load_size is not None and recipe.load_size < recipe.image_size:
        raise BenchError(f"{where}: load_size = {recipe.load_size}: must be at least image_size {recipe.image_size}")
    if recipe.noise and recipe.denoise != "none":
        raise BenchError(
            f"{where}: noise and denoise = {recipe.denoise} exclude each other (noise is drawn on denoised images); "
            "train with noise, and denoise in bench robust --denoise"
        )
    if recipe.patience is not None and recipe.select == "last_all":
        raise BenchError(
            f"{where}: patience and select = last_all exclude each other: no image is left to judge an epoch by; "
            "take select = best or last"
        )
    if recipe.scale_weights is not None and len(recipe.scale_weights) != len(recipe.scales):
        raise BenchError(
            f"{where}: scale_weights has {len(recipe.scale_weights)} values, scales has {len(recipe.scales)}"
        )
    return recipe


def _fault(error: Any) -> str:
    """Describe an error that pydantic found; a size that does not fit comes with the nearest that do."""
    said = error["msg"].removeprefix("Value error, ")
    said = said if error["type"] == "value_error" else said.lower()
    if error["type"] != "multiple_of":
        return said
    step, given = error["ctx"]["multiple_of"], error["input"]
    low = max(step, given // step * step)
    return f"{said} (encoders halve the image five times); the nearest are {low} and {low + step}"


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """Turn ``key=value`` texts into recipe fields; values are TOML, bare words are strings.

    Raises:
        BenchError: A text without ``=`` or a field that does not exist.
    """
    fields: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        key = key.strip()
        if not sign:
            raise BenchError(f"--set {pair!r}: expected key=value, for example --set epochs=5")
        if key not in Recipe.model_fields:
            raise BenchError(f"--set {pair}: {unknown_field(key)}")
        fields[key] = _toml_value(text.strip())
    return fields


def _toml_value(text: str) -> Any:
    if text.lower() in ("none", "null", ""):
        return None
    try:
        return parse_toml(f"value = {text}")["value"]
    except FormatFault:
        return text


def _read_toml(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.suffix == ".toml":
        try:
            if not path.is_file():
                raise BenchError(f"recipe file {name}: not found; packaged recipes are {', '.join(recipe_names())}")
            text = read_text(path, max_bytes=MAX_TOML_BYTES)
        except (OSError, ValueError) as error:
            raise BenchError(f"recipe file {name}: cannot read it ({error}); expected TOML in UTF-8") from None
    elif name in recipe_names():
        text = (resources.files("benchmark.recipes") / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise unknown_name("recipe", name, recipe_names())
    try:
        return parse_toml(text)
    except FormatFault as error:
        raise BenchError(f"recipe file {name}: not valid TOML: {error}") from None
