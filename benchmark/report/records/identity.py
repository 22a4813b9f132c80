"""What puts two records into separate rows: title and origin of external maps, weights, options, setting."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from benchmark.recipes.read import authors_selection, load_recipe, recipe_names
from benchmark.report.records.names import MODEL_TITLES
from benchmark.store.schema import Record

DIGEST_DIGITS = 12


class RowKey(NamedTuple):
    """Which row of a table a record belongs to; records of one key are its seeds.

    Attributes:
        model: Registry name. ablation: Parts left out.
        foreign: The maps or the weights are external.
        title: Printed name of external maps, which may share a registry name; empty for models trained here.
        setting: What distinguishes the row from others of the model: weights, options, checkpoint, recipe. Often empty.
    """

    model: str
    ablation: tuple[str, ...] = ()
    foreign: bool = False
    title: str = ""
    setting: str = ""


def is_foreign(record: Record) -> bool:
    """Return whether no single training here made the maps: others did, or they are the mean of several cells'."""
    return bool(record.origin)


def row_keys(records: Sequence[Record], *, by_recipe: bool = False) -> dict[str, RowKey]:
    """Return the row of each record, by cell.

    Args:
        records: Of one table.
        by_recipe: Records of several recipes are separate rows.
    """
    groups: dict[RowKey, list[Record]] = {}
    for record in records:
        groups.setdefault(_plain_key(record), []).append(record)
    recipes = _recipe_settings([r for r in records if not is_foreign(r)]) if by_recipe else {}
    found: dict[str, RowKey] = {}
    for key, members in groups.items():
        facts = [_facts(record) for record in members]
        varying = [name for name in facts[0] if len({fact[name] for fact in facts} - {""}) > 1]
        for record, fact in zip(members, facts, strict=True):
            parts = [recipes.get(record.cell, ""), *(fact[name] for name in varying)]
            found[record.cell] = key._replace(setting=", ".join(part for part in parts if part))
    return found


def same_cell(record: Record) -> str:
    """Return the key that is equal for two records that differ only in the code that made them."""
    key = _plain_key(record)
    settings = [record.recipe_name, record.recipe_hash, record.split.model_dump(), record.seed]
    return json.dumps([*key, *settings, sorted(_facts(record).items())], sort_keys=True)


def digest(record: Record) -> str:
    """Return the first digits of the weight file's sha256, in brackets; the record has all of them."""
    found = str(record.pretrained.get("sha256") or "")
    return f" (sha256 {found[:DIGEST_DIGITS]})" if found else ""


def start_of(record: Record) -> str:
    """Return the cells or checkpoint that a training continued; empty for a start from random or ImageNet weights.

    Seeds of one row that each continue their own cell give the same text.
    """
    start = record.pretrained.get("start")
    if start is None:
        return ""
    name = record.pretrained.get("name")
    return f"from {name}{digest(record)}" if start == "file" else f"continued from {str(start).rpartition('/')[0]}"


def _plain_key(record: Record) -> RowKey:
    foreign = is_foreign(record)
    title = MODEL_TITLES.get(record.model, "")
    if record.model_title.lower() not in (record.model, title.lower()):
        title = record.model_title
    return RowKey(record.model, tuple(record.ablation), foreign, (title or record.model_title) if foreign else "")


def _facts(record: Record) -> dict[str, str]:
    """Return what may differ between two rows of one model, as a table prints it."""
    if is_foreign(record):
        places = [str(record.pretrained[what]) for what in ("key", "strip_prefix") if record.pretrained.get(what)]
        return {"origin": ", ".join([f"{record.origin}{digest(record)}", *places])}
    options = ", ".join(f"{key}={value}" for key, value in sorted(record.model_options.items())) or "default"
    if record.pretrained.get("start") is not None:
        return {"weights": "", "options": options, "start": start_of(record)}
    weights = f"{record.pretrained.get('name') or ''}{digest(record)}".strip()
    return {"weights": weights, "options": options, "start": "not continued"}


def changed_fields(record: Record) -> dict[str, Any] | None:
    """Return the recipe fields that differ from the packaged recipe's; None for a user's recipe."""
    base = packaged_fields(record.recipe_name, record.model)
    if base is None:
        return None
    changed = {k: v for k, v in record.recipe.items() if k in base and k != "name" and base[k] != v}
    if "select" in changed and changed["select"] == _authors_selection(record.recipe_name, record.model):
        changed["select"] = "test"  # one label for all models that follow their authors' own rule
    return changed


_authors_selection = lru_cache(maxsize=512)(authors_selection)


@lru_cache(maxsize=512)
def packaged_fields(name: str, model: str) -> dict[str, Any] | None:
    """Return the packaged recipe's fields, None for a recipe from a user's file."""
    return load_recipe(name, model=model).model_dump(mode="json") if name in recipe_names() else None


def _recipe_settings(records: Sequence[Record]) -> dict[str, str]:
    """Return, by cell, the shortest text that distinguishes its recipe from the others."""
    changes = {record.cell: changed_fields(record) or {} for record in records}
    fields = list(dict.fromkeys(field for one in changes.values() for field in one))
    varying = [f for f in fields if len({_shown(record.recipe.get(f)) for record in records}) > 1]
    names = {record.recipe_name for record in records}
    own = {r.recipe_name: {x.recipe_hash for x in records if x.recipe_name == r.recipe_name} for r in records}
    found = {}
    for record in records:
        parts = [record.recipe_name] if len(names) > 1 else []
        if changed_fields(record) is None and len(own[record.recipe_name]) > 1:
            parts = [f"{record.recipe_name}-{record.recipe_hash[:8]}"]
        parts += [f"{field}={_shown(record.recipe.get(field))}" for field in varying]
        found[record.cell] = ", ".join(parts)
    return found


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}:{_shown(item)}" for key, item in value.items())
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
