"""A registered model: one tensor in, one tensor out. Imported wherever such a model is loaded."""

from __future__ import annotations

from torch import Tensor, nn


class ScoredMap(nn.Module):
    """Return of a network's outputs only the scored map.

    Args:
        network: Any of the harness's networks.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) float32 -> logits (B, 1, H, W)."""
        return self.network(image)[0]
