"""Turn what a network returns into a tuple of logits whose item 0 is scored, as the recipe's ``outputs`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor, nn

AS_RETURNED = "maps"


class Adapter:
    """A forward hook of a network; weights and their names are unchanged.

    Args:
        how: ``last_first``: the last map of the tuple is the one that is scored; ``two_class``: a map of two channels
            holds the logits of background and polyp; ``key:NAME``: a dictionary whose entry NAME is scored.
    """

    def __init__(self, how: str) -> None:
        self.how = how

    def __call__(self, network: nn.Module, inputs: Any, outputs: Any) -> tuple[Tensor, ...]:
        """Return the adapted outputs.

        Raises:
            BenchError: They do not have the form that the recipe names.
        """
        del network, inputs
        if self.how.startswith("key:"):
            return _by_key(outputs, self.how.removeprefix("key:"))
        if isinstance(outputs, Mapping):
            raise BenchError(f"outputs = {self.how}: the network returns a dictionary; use outputs = key:NAME")
        maps = tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
        if self.how == "last_first":
            return maps[::-1]
        if maps[0].dim() != 4 or maps[0].shape[1] != 2:
            raise BenchError(f"outputs = two_class: item 0 is {tuple(maps[0].shape)}, expected (B, 2, H, W)")
        # the softmax of two logits is the sigmoid of their difference
        return tuple(m[:, 1:] - m[:, :1] if m.dim() == 4 and m.shape[1] == 2 else m for m in maps)


def adapt(network: nn.Module, how: str) -> nn.Module:
    """Make a network return a tuple of logits; nothing is changed for ``maps``."""
    if how != AS_RETURNED and hasattr(network, "register_forward_hook"):
        network.register_forward_hook(Adapter(how))
    return network


def _by_key(outputs: Any, key: str) -> tuple[Tensor, ...]:
    if not isinstance(outputs, Mapping):
        raise BenchError(f"outputs = key:{key}: the network returns a {type(outputs).__name__}, not a dictionary")
    if key not in outputs:
        raise unknown_name("key of the network's outputs", key, map(str, outputs))
    rest = [value for name, value in outputs.items() if name != key and getattr(value, "dim", lambda: 0)() == 4]
    return (outputs[key], *rest)
