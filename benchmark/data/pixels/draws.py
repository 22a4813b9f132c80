"""Random numbers for the images of a batch, of which one process may hold some only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """The images ``start`` to ``stop`` of a batch of ``count``."""

    start: int
    stop: int
    count: int

    @property
    def slice(self) -> slice:
        """For indexing the batch."""
        return slice(self.start, self.stop)


class Draws:
    """Draws for a whole batch, handed out for some of its images: each image gets what it gets in one process.

    Args:
        generator: CPU generator; it moves on as far as for the whole batch.
        rows: Which images.
    """

    def __init__(self, generator: torch.Generator, rows: Rows) -> None:
        self.generator, self.rows = generator, rows

    def uniform(self, *lead: int) -> Tensor:
        """Return (*lead, images) numbers in [0, 1)."""
        return torch.rand(*lead, self.rows.count, generator=self.generator)[..., self.rows.slice]

    def integers(self, stop: int, *lead: int) -> Tensor:
        """Return (*lead, images) integers in [0, stop)."""
        drawn = torch.randint(0, stop, (*lead, self.rows.count), generator=self.generator)
        return drawn[..., self.rows.slice]

    def coins(self) -> Tensor:
        """Return (images,) booleans, true for half of them."""
        return self.uniform() < 0.5
