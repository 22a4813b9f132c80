"""Colour exchange: give an image the colour statistics of another one (SANet, MICCAI 2021, section 2).

Per CIELAB channel, A' = (A - mean_A) / std_A * std_D + mean_D over all pixels, D being a donor image. The released code
casts to 8 bit without clipping, so that values out of range wrap around; here they are clipped, unless ``wrap``. The
released code also exchanges before it resizes; here the images have their training size already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.data.pixels.draws import Draws, Rows
from benchmark.data.pixels.pool import Pool

COLOUR_PIECES = ("colour_exchange", "colour_exchange_wrap")
_DIGITS_SHARE = 0.7
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.950456, 1.0, 1.088754)
_LIMIT, _SLOPE, _SHIFT = 0.008856, 7.787, 16 / 116


def rgb_to_lab(images: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB in [0, 1] -> CIELAB scaled to 8 bit as in OpenCV: L 255/100, a and b + 128; float, rounded."""
    linear = torch.where(images > 0.04045, ((images + 0.055) / 1.055) ** 2.4, images / 12.92)
    matrix = torch.tensor(_TO_XYZ, dtype=images.dtype, device=images.device)
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear) / images.new_tensor(_WHITE).view(1, 3, 1, 1)
    f = torch.where(xyz > _LIMIT, xyz.clamp_min(_LIMIT) ** (1 / 3), _SLOPE * xyz + _SHIFT)
    y = xyz[:, 1]
    light = torch.where(y > _LIMIT, 116 * f[:, 1] - 16, 903.3 * y)
    lab = torch.stack([light * 255 / 100, 500 * (f[:, 0] - f[:, 1]) + 128, 200 * (f[:, 1] - f[:, 2]) + 128], 1)
    return lab.round().clamp(0, 255)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Inverse of ``rgb_to_lab``: 8-bit-scaled CIELAB -> (B, 3, H, W) sRGB in [0, 1], rounded to 1/255."""
    fy = (lab[:, 0] * 100 / 255 + 16) / 116
    f = torch.stack([fy + (lab[:, 1] - 128) / 500, fy, fy - (lab[:, 2] - 128) / 200], 1)
    xyz = torch.where(f > 6 / 29, f**3, (f - _SHIFT) / _SLOPE) * lab.new_tensor(_WHITE).view(1, 3, 1, 1)
    matrix = torch.linalg.inv(torch.tensor(_TO_XYZ, dtype=torch.float64)).to(lab)
    linear = torch.einsum("ij,bjhw->bihw", matrix, xyz).clamp(0, 1)
    rgb = torch.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return (rgb * 255).round().clamp(0, 255) / 255


class ColourExchange:
    """Donors of a training set, with the statistics of each image worked out once.

    The donors' groups are those of the released code: images whose name is all digits (CVC-ClinicDB's frames) and the
    others; with probability 0.7 the first. The donor's index is the image's own, modulo the group's size.
    """

    def __init__(self, pool: Pool, *, wrap: bool = False) -> None:
        self.wrap = wrap
        names = [name.rpartition("-")[2] for name in pool.names]
        digits = [i for i, name in enumerate(names) if name.isdecimal()]
        others = [i for i, name in enumerate(names) if not name.isdecimal()]
        self.groups = (digits or others, others or digits)
        self.stats = torch.cat([_stats(pool.batch(np.array([i]))[0]) for i in range(len(pool))])

    def __call__(
        self, images: Tensor, positions: np.ndarray, generator: torch.Generator, rows: Rows | None = None
    ) -> Tensor:
        """Exchange the colours of a batch.

        Args:
            images: (B, 3, S, S) in [0, 1].
            positions: Indices of the batch's images in the training set.
            generator: CPU generator.
            rows: Which images of a larger batch these are; unset: they are the batch.
        """
        draws = Draws(generator, rows or Rows(0, len(images), len(images)))
        first = (draws.uniform() < _DIGITS_SHARE).tolist()
        donors = [
            self.groups[0 if one else 1][int(i) % len(self.groups[0 if one else 1])]
            for one, i in zip(first, positions, strict=True)
        ]
        mean, std = self.stats[donors].to(images).view(-1, 2, 3, 1, 1).unbind(1)
        lab = rgb_to_lab(images)
        own_mean, own_std = lab.mean((2, 3), keepdim=True), lab.std((2, 3), correction=0, keepdim=True)
        moved = (lab - own_mean) / own_std.clamp_min(1e-6) * std + mean
        return lab_to_rgb(moved.trunc().remainder(256) if self.wrap else moved.clamp(0, 255).floor())


def colour_exchange(pieces: Sequence[str], pool: Pool) -> ColourExchange | None:
    """Make the exchange that a recipe's ``augmentation`` names, or None where it names none."""
    named = [piece for piece in pieces if piece in COLOUR_PIECES]
    return ColourExchange(pool, wrap=named[-1] == "colour_exchange_wrap") if named else None


def _stats(images: Tensor) -> Tensor:
    lab = rgb_to_lab(images.permute(0, 3, 1, 2).float() / 255)
    return torch.stack([lab.mean((2, 3)), lab.std((2, 3), correction=0)], 1)
