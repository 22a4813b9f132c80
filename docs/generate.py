"""Write the generated pages of the reference: `python docs/generate.py`; a test compares them with the code."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.recipes.explain import field_rows, recipe_rows

RECIPES = Path(__file__).parent / "pages" / "reference" / "recipes.md"
_HEAD = """# Recipe fields

Generated from the code by `python docs/generate.py`; a test compares the two. A recipe is a TOML file that holds only
what differs from these defaults; `--set FIELD=VALUE` changes one, and `bench recipes --fields` prints this list.

## Packaged recipes

| recipe | for |
|---|---|
"""
_FIELDS = """
## Fields

| field | values | default | what it does |
|---|---|---|---|
"""


def recipes_page() -> str:
    """Return the page of recipes and their fields as Markdown."""
    recipes = "".join(f"| `{row['recipe']}` | {_cell(row['what'])} |\n" for row in recipe_rows())
    fields = "".join(
        f"| `{row['field']}` | {_cell(row['values'])} | {_default(row['default'])} | {_cell(row['what'])} |\n"
        for row in field_rows()
    )
    return _HEAD + recipes + _FIELDS + fields


def _default(text: str) -> str:
    """Return a JSON value as it is written in TOML."""
    value = json.loads(text)
    return "unset" if value is None else f"`{text}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<=", "≤").replace(">=", "≥").replace("<", "&lt;")


if __name__ == "__main__":
    RECIPES.write_text(recipes_page(), encoding="utf-8")
    print(RECIPES)
