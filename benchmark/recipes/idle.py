"""Fields of a recipe that have no effect unless another field is set."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmark.config import Recipe

_NEEDS: dict[str, tuple[str, Callable[[Recipe], bool]]] = {
    "momentum": ("optimizer = sgd", lambda r: r.optimizer == "sgd"),
    "nesterov": ("optimizer = sgd", lambda r: r.optimizer == "sgd"),
    "poly_power": ("schedule = poly", lambda r: r.schedule == "poly"),
    "step_epochs": ("schedule = step", lambda r: r.schedule == "step"),
    "step_factor": ("schedule = step or plateau", lambda r: r.schedule in ("step", "plateau")),
    "plateau_epochs": ("schedule = plateau", lambda r: r.schedule == "plateau"),
    "min_lr": ("schedule = plateau", lambda r: r.schedule == "plateau"),
    "warmup_by": ("warmup_epochs above 0", lambda r: r.warmup_epochs > 0),
    "scales": ("multi_scale = each or draw", lambda r: r.multi_scale != "none"),
    "scale_weights": ("multi_scale = draw", lambda r: r.multi_scale == "draw"),
    "select_metric": (
        "select = best, schedule = plateau or patience",
        lambda r: not r.select.startswith("last") or r.schedule == "plateau" or r.patience is not None,
    ),
    "focal_alpha": ("loss = focal", lambda r: r.loss == "focal"),
    "focal_gamma": ("loss = focal", lambda r: r.loss == "focal"),
}
"""Field -> the setting that it needs to have an effect, and its test."""


def idle_fields(recipe: Recipe, given: Iterable[str]) -> dict[str, str]:
    """Return the given fields that have no effect in this recipe, each with the setting that it needs."""
    return {name: _NEEDS[name][0] for name in given if name in _NEEDS and not _NEEDS[name][1](recipe)}
