"""A network as text: its parts, their parameters, and PyTorch's printout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.models.groups import parameter_groups
from benchmark.models.registry import build_model, get_spec, switches

if TYPE_CHECKING:
    from torch import nn

_DEPTH = 2


def model_summary(model: nn.Module, title: str) -> str:
    """Return the text of ``model.txt``: total parameters, then by part down to two levels, then ``print(model)``.

    Parameters that two parts share are counted once in the total and in each part that holds them.
    """
    parts = [(name, module) for name, module in model.named_modules() if name and name.count(".") < _DEPTH]
    width = max((len(name) for name, _ in parts), default=0)
    lines = [f"{name:{width}}  {type(module).__name__:24} {count(module):>12,}" for name, module in parts]
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    head = f"{title}: {count(model):,} parameters, {trainable:,} of them trainable"
    return "\n".join([head, "", *lines, "", str(model), ""])


def live_parameters(model: nn.Module) -> int:
    """Count a network's parameters, each once, without those that it declares unused.

    A network whose released file carries tensors that its forward pass never uses names them by the start of their
    keys in ``dead_prefixes``.
    """
    dead = tuple(getattr(model, "dead_prefixes", ()))
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith(dead))


def count(module: nn.Module) -> int:
    """Parameters of a module, each once."""
    return sum(p.numel() for p in module.parameters())


def describe_model(name: str) -> dict[str, Any]:
    """Build a model and return its name, title, summary, parameters, where it is built, and what it can drop.

    Raises:
        BenchError: Unknown model, or one that cannot be built.
    """
    spec = get_spec(name)
    model = build_model(spec)
    groups = {group: sum(p.numel() for p in parameters) for group, parameters in parameter_groups(model).items()}
    return {
        "name": spec.name,
        "title": spec.title,
        "summary": spec.summary,
        "parameters": f"{count(model):,}",
        "built by": spec.target,
        "parts": "; ".join(f"{part}: {text}" for part, text in switches(spec).items()) or "none declared",
        "learning-rate groups": "; ".join(f"{group}: {number:,} parameters" for group, number in groups.items())
        or "none declared",
    }
