"""Pixels of a pixel cache as torch batches: some rows of one dataset, or several datasets pooled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Pixels(Protocol):
    """Images and masks at one size: (N, S, S, 3) and (N, S, S) uint8."""

    @property
    def images(self) -> np.ndarray: ...

    @property
    def masks(self) -> np.ndarray: ...


@dataclass
class Subset:
    """Some rows of a pixel cache, with the ids of their images on request."""

    pixels: Pixels
    rows: np.ndarray
    names: tuple[str, ...] = ()
    dataset: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Copy the images (B, S, S, 3) and masks (B, S, S), uint8, at ``positions`` of this subset."""
        rows = self.rows[positions]
        return torch.from_numpy(self.pixels.images[rows]), torch.from_numpy(self.pixels.masks[rows])


class Pool:
    """Several subsets as one, in order: training images pooled over datasets."""

    def __init__(self, parts: list[Subset]) -> None:
        self.parts = [part for part in parts if len(part)]
        self.offsets = np.cumsum([0, *(len(part) for part in self.parts)])

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @property
    def sizes(self) -> list[int]:
        """Number of images of each subset."""
        return [len(part) for part in self.parts]

    @property
    def names(self) -> list[str]:
        """Ids of the images, in order."""
        return [name for part in self.parts for name in part.names]

    def labels(self, positions: np.ndarray) -> list[str]:
        """``dataset/id`` of the images at ``positions``; their positions where ids are not known."""
        names = [f"{part.dataset}/{name}" for part in self.parts for name in part.names]
        return [names[int(i)] if len(names) == len(self) else str(int(i)) for i in positions]

    def batch(self, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Copy images (B, S, S, 3) and masks (B, S, S), uint8."""
        which = np.searchsorted(self.offsets, positions, side="right") - 1
        inside = positions - self.offsets[which]
        present = np.unique(which)
        if len(present) == 1:
            return self.parts[present[0]].batch(inside)
        found = {part: self.parts[part].batch(inside[which == part]) for part in present}
        images, masks = (torch.empty(len(which), *one.shape[1:], dtype=one.dtype) for one in found[present[0]])
        for part, (some_images, some_masks) in found.items():
            places = torch.from_numpy(np.flatnonzero(which == part))
            images[places], masks[places] = some_images, some_masks
        return images, masks
