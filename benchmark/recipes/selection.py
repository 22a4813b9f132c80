"""Checkpoints picked on test images: a rule that a command asks for by name, and no file brings along unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.errors import BenchError

ON_TEST = "test"
"""Value of ``select`` that stands for the sets by which a model's authors pick."""


def take_rules(table: dict[str, Any], recipe: str) -> dict[str, list[str]]:
    """Take the table ``test_selection`` out of a recipe: by model, the test sets by which its authors pick.

    Raises:
        BenchError: It is something else than lists of names.
    """
    found = table.pop("test_selection", {})
    rules = found.values() if isinstance(found, dict) else [None]
    if not all(isinstance(sets, list) and sets and all(isinstance(one, str) for one in sets) for sets in rules):
        raise BenchError(f"recipe {recipe}: test_selection must list test sets by model, such as caranet = ['cvc300']")
    return dict(found)


def authors_rule(rules: Mapping[str, list[str]], model: str) -> str:
    """Return the rule of a model's authors, such as ``test:clinicdb+cvc300``; empty for a model without one."""
    sets = rules.get(model.split(":")[0])
    return f"{ON_TEST}:{'+'.join(sorted(sets))}" if sets else ""


def selection_asked(
    asked: Mapping[str, Any], written: Any, rules: Mapping[str, list[str]], *, recipe: str, model: str
) -> dict[str, Any]:
    """Return the fields that a command sets, with ``select = "test"`` replaced by the authors' rule.

    Args:
        asked: Fields given by the command.
        written: What the recipe's file says of ``select``.
        rules: See ``take_rules``.
        recipe: Name or file, for messages.
        model: Registry name.
    Raises:
        BenchError: The authors have no such rule, or the file picks on test images and the command does not say so: a
            file is passed on unread, a command stands in the report.
    """
    if asked.get("select") == ON_TEST:
        rule = authors_rule(rules, model)
        if rule:
            return {**asked, "select": rule}
        known = f"known are {', '.join(rules)}" if rules else "the recipe names none; take --recipe native"
        raise BenchError(
            f"recipe {recipe}: select = test: no test set by which the authors of {model} pick their checkpoint "
            f"({known}); leave the model out, or name sets: --set select=test:CVC-300"
        )
    if "select" not in asked and str(written).startswith(ON_TEST):
        raise BenchError(
            f"recipe {recipe}: select = {written!r} picks checkpoints on test images; take it out of the file, and ask "
            f"for it by name: --set select={written}"
        )
    return dict(asked)
