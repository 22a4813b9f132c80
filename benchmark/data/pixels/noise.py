"""Noise as augmentation: corruptions drawn on the cached pixels of a training batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.data.pixels.draws import Draws
from benchmark.robustness.corruptions import SEVERITIES, get_corruption

_SEEDS = 2**31


def draw_noise(images: Tensor, names: Sequence[str], draws: Draws, *, share: float = 0.5) -> Tensor:
    """Corrupt a share of the images, each by one of the corruptions at a severity from 1 to 5.

    An image to which the drawn corruption does not apply (colour or grey) is unchanged.

    Args:
        images: (B, S, S, 3) uint8 at network size, on the CPU.
        names: Corruptions to draw from, each as likely.
        share: Probability that an image gets noise.
        draws: Random numbers; which image gets what depends on nothing else.
    Returns:
        (B, S, S, 3) uint8; the inputs are unchanged.
    """
    chosen = [get_corruption(name) for name in names]
    coins, which = draws.uniform() < share, draws.integers(len(chosen))
    severities, seeds = draws.integers(len(SEVERITIES)), draws.integers(_SEEDS)
    result = images.clone()
    for i in torch.nonzero(coins).flatten().tolist():
        corruption, image = chosen[int(which[i])], images[i].numpy()
        if corruption.fault(image) is None:
            made = corruption(image, severity=SEVERITIES[int(severities[i])], seed=int(seeds[i]))
            result[i] = torch.from_numpy(made)
    return result
