"""The packaged recipes, and the meaning of each field, as rows for printing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from itertools import takewhile
from typing import Any

from benchmark.config import Recipe
from benchmark.recipes.read import recipe_names


def field_rows() -> list[dict[str, str]]:
    """Return one row per field of a recipe: name, type with its range, default, description."""
    rows = []
    for name, schema in Recipe.model_json_schema()["properties"].items():
        rows.append(
            {
                "field": name,
                "values": _values(schema),
                "default": json.dumps(schema.get("default"), ensure_ascii=False),
                "what": schema.get("description", ""),
            }
        )
    return rows


def _values(schema: Mapping[str, Any]) -> str:
    """Describe a field's JSON schema: its choices, or its type and range."""
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_values(schema.get('items', {}))}"
    kind = {"integer": "whole number", "boolean": "true or false", "null": "unset", "string": "text", "object": "table"}
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    signs["multipleOf"] = "a multiple of"
    ranges = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return " ".join([kind.get(schema.get("type", ""), str(schema.get("type", "anything"))), *ranges])


def recipe_rows() -> list[dict[str, str]]:
    """Return one row per packaged recipe: its name, and the first sentences of its file's head."""
    rows = []
    for name in recipe_names():
        text = (resources.files("benchmark.recipes") / f"{name}.toml").read_text(encoding="utf-8")
        head = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
        head = list(takewhile(lambda line: not line.startswith("Command:"), head))
        end = next((number for number, line in enumerate(head, 1) if line.endswith(".")), len(head))
        rows.append({"recipe": name, "what": " ".join(head[:end])})
    return rows
