"""Exponential moving average of a network's weights, used for validation and for the kept checkpoint."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """A network of averaged parameters and buffers.

    Counters of batch norm and other whole numbers are copied. Nothing here waits for the device.

    Args:
        model: Network that will be trained; its values so far are the first average.
        decay: Weight of the old average; after ``n`` updates at most (1 + n) / (10 + n), so that the random values at
            the start are soon forgotten.
        device: Where the network will be.
    """

    def __init__(self, model: nn.Module, decay: float, device: torch.device) -> None:
        self.module = copy.deepcopy(model).requires_grad_(requires_grad=False).to(device).eval()
        self.decay, self.num_updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the network's present values."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        pairs = list(zip(_values(self.module), _values(model), strict=True))
        averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([mine for mine, _ in averaged], [theirs for _, theirs in averaged], 1 - decay)
        for mine, theirs in pairs:
            if not mine.is_floating_point():
                mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to continue."""
        return {"module": self.module.state_dict(), "num_updates": self.num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of ``state_dict``."""
        self.module.load_state_dict(state["module"])
        self.num_updates = int(state["num_updates"])


def _values(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers, each once, whatever its names."""
    return [*model.parameters(), *model.buffers()]
