"""The variants of a model that an ablation trains."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.models.registry import ModelSpec, switchable, switches


def choose_variants(spec: ModelSpec, recipe: Recipe, drop: Sequence[str], *, factorial: bool) -> list[tuple[str, ...]]:
    """Return the variants: the full model, each part dropped alone, and all dropped; or every subset.

    Args:
        spec: The model; it must declare switches.
        recipe: Says whether the full model is pretrained, which ``pretraining`` needs.
        drop: Parts; empty for all that the model declares (``pretraining`` only where the recipe has it).
        factorial: Every subset instead.
    Raises:
        BenchError: The model declares no parts, a part is unknown, or ``pretraining`` is to be dropped although there
            is none.
    """
    known = switches(spec)
    if not known:
        raise BenchError(f"model {spec.name} declares no parts that can be dropped")
    for part in drop:
        if part not in known:
            raise BenchError(f"model {spec.name}: no part {part!r} to drop; its parts are {', '.join(known)}")
    if "pretraining" in drop and not recipe.pretrained:
        raise BenchError(
            f"--drop pretraining: recipe {recipe.name} starts from random weights, so there is nothing to drop; "
            "pass --set pretrained=true (and the weights), or leave pretraining out"
        )
    parts = tuple(part for part in known if part in drop) or tuple(
        part for part in known if part != "pretraining" or recipe.pretrained
    )
    if factorial:
        return [subset for size in range(len(parts) + 1) for subset in itertools.combinations(parts, size)]
    return list(dict.fromkeys([(), *((part,) for part in parts), parts]))


def choose_switched_off(spec: ModelSpec, parts: Sequence[str]) -> tuple[str, ...]:
    """Return the parts to switch off in the trained full network, in the model's order.

    Raises:
        BenchError: The model's trained networks cannot do without one of them.
    """
    able = switchable(spec)
    for part in parts:
        if part not in able:
            raise BenchError(
                f"--off {part}: a trained network of {spec.name} cannot do without it; it can without "
                f"{', '.join(able) or 'no part'}"
            )
    return tuple(part for part in able if part in parts)
