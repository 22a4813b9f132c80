"""Groups of a network's parameters that a recipe may give a learning rate of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_ENCODERS = ("encoder", "resnet", "bkbone", "backbone")


def parameter_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return the groups that a recipe may name: those that the model declares, and its encoder."""
    declared = getattr(model, "parameter_groups", None)
    groups = {name: list(parameters) for name, parameters in declared().items()} if declared is not None else {}
    for name in _ENCODERS:
        part = getattr(model, name, None)
        if part is not None and hasattr(part, "parameters"):
            return {"encoder": list(part.parameters()), **groups}
    return groups
