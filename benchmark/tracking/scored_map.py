"""A network as one tensor in, one tensor out: what a registered model is. Imported wherever such a model is loaded."""

from __future__ import annotations

from torch import Tensor, nn


class ScoredMap(nn.Module):
    """Keep of a network's outputs the map that is scored.

    Args:
        network: Any of the harness's networks.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) float32 -> logits (B, 1, H, W)."""
        return self.network(image)[0]
