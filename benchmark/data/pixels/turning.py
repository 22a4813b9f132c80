"""Flips and quarter turns of 8-bit batches, before they become floats: pixels move whole, so no bit depends on when.

All of an image's flips and turns are one view of its pixels and one copy, many times faster than one copy each of
floats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.data.pixels.draws import Draws, Rows

Turn = Callable[[np.ndarray], np.ndarray]
TURNING_PIECES = ("hflip", "vflip", "rot90")
_PIXEL = np.dtype("V3")  # the three bytes of a pixel, moved as one


def leading(pieces: Sequence[str]) -> int:
    """How many of the augmentation's first pieces only move whole pixels."""
    return next((i for i, piece in enumerate(pieces) if piece not in TURNING_PIECES), len(pieces))


def turn(
    images: Tensor,
    masks: Tensor,
    pieces: Sequence[str],
    *,
    generator: torch.Generator,
    rows: Rows | None = None,
) -> tuple[Tensor, Tensor]:
    """Flip and turn each image with its mask, by the draws of ``transforms.augment``.

    Args:
        images: (B, S, S, 3) uint8 on the CPU.
        masks: (B, S, S) uint8 on the CPU.
        pieces: Names among ``TURNING_PIECES``, applied in order.
        generator: CPU generator.
        rows: Which images of a larger batch these are; unset: they are the batch.
    Returns:
        New tensors of the same shapes; the old ones where there are no pieces.
    """
    if not pieces:
        return images, masks
    draws = Draws(generator, rows or Rows(0, len(images), len(images)))
    per_piece = [_draw(piece, draws) for piece in pieces]
    pixels, grey = images.numpy().view(_PIXEL)[..., 0], masks.numpy()
    turned_pixels, turned_grey = np.empty_like(pixels), np.empty_like(grey)
    for i, turns in enumerate(zip(*per_piece, strict=True)):
        image, mask = pixels[i], grey[i]
        for one in turns:
            image, mask = one(image), one(mask)
        turned_pixels[i], turned_grey[i] = image, mask
    colours = turned_pixels.view(np.uint8).reshape(images.shape)
    return torch.from_numpy(colours), torch.from_numpy(turned_grey)


def _draw(piece: str, draws: Draws) -> list[Turn]:
    """What a piece does to each image."""
    on = draws.coins().tolist()
    if piece == "rot90":
        quarters = draws.integers(4).tolist()
        return [_quarters(number * coin) for number, coin in zip(quarters, on, strict=True)]
    flip: Turn = np.fliplr if piece == "hflip" else np.flipud
    return [flip if coin else _stay for coin in on]


def _stay(view: np.ndarray) -> np.ndarray:
    return view


def _quarters(number: int) -> Turn:
    return lambda view: np.rot90(view, number)
