"""One image seen several ways: the mean of a network's probabilities over flips, before anything is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.errors import unknown_name
from benchmark.prediction.maps import probabilities_at

if TYPE_CHECKING:
    from benchmark.prediction.network import Network

FLIPS: dict[str, tuple[int, ...]] = {"hflip": (1,), "vflip": (0,), "hvflip": (0, 1)}
"""Name -> axes of an (H, W) image that are turned around; ``hvflip`` is half a turn."""


def check_flips(names: Sequence[str]) -> tuple[str, ...]:
    """Return the flips in the order of ``FLIPS``, each once.

    Raises:
        BenchError: An unknown name.
    """
    for name in names:
        if name not in FLIPS:
            raise unknown_name("flip", name, FLIPS)
    return tuple(name for name in FLIPS if name in names)


def sum_over_flips(
    network: Network, images: torch.Tensor, sizes: list[tuple[int, int]], flips: Sequence[str]
) -> list[NDArray[np.float64]]:
    """Add up a network's probabilities of images as they are and flipped, each turned back.

    Args:
        network: Gives the network, its recipe and its device.
        images: (B, S, S, 3) uint8 at network size.
        sizes: (height, width) per image, px.
        flips: Names of ``FLIPS``.
    Returns:
        One (height, width) array per image, in [0, 1 + number of flips].
    """
    sums = [np.zeros(size) for size in sizes]
    for axes in ((), *(FLIPS[name] for name in flips)):
        turned = images.flip([axis + 1 for axis in axes]) if axes else images
        probs = probabilities_at(network.model, network.recipe, turned, sizes, network.fabric)
        for total, prob in zip(sums, probs, strict=True):
            total += np.flip(prob.cpu().numpy(), axes)
    return sums
