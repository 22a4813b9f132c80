"""One process's share of a training step, so that all processes together do what one would.

A batch is cut into runs of images of nearly equal size. DistributedDataParallel averages gradients over processes; each
loss is therefore weighted by the process's images, and the gradient is that of the whole batch for every loss that is a
mean over images (all of this package's are; a Dice over all pixels of a batch becomes the mean of its values per
process). Augmentation draws for the whole batch (``data/draws.py``), batch norm sees it whole (``batch_norm.py``); what
a network draws itself (dropout, BSANet's points) differs from process to process and from a training by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmark.config import derive_seed
from benchmark.data.pixels.draws import Rows

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Share:
    """One process's part of every batch; a single process has the whole batch, and nothing changes a number."""

    rank: int = 0
    world: int = 1

    @classmethod
    def of(cls, fabric: Fabric) -> Share:
        """Return the part of the calling process."""
        return cls(fabric.global_rank, fabric.world_size)

    def rows(self, count: int) -> Rows:
        """The images of a batch that are this process's; if there are none, the first image with weight 0."""
        start, stop = self._bounds(count)
        return Rows(start, stop, count) if stop > start else Rows(0, 1, count)

    def weight(self, count: int) -> float:
        """Return the factor for a loss of ``rows`` that makes the processes' mean the batch's."""
        start, stop = self._bounds(count)
        return self.world * (stop - start) / count

    def num_passes(self, count: int, limit: int | None) -> int:
        """Passes of at most ``limit`` images (one more where a pass would be empty elsewhere); alike for all."""
        least, most = max(1, count // self.world), math.ceil(count / self.world)
        return min(least, math.ceil(most / limit)) if limit else 1

    def mean(self, value: Tensor, count: int) -> Tensor:
        """Return the batch mean of each process's values, () float64 each; all processes must call it.

        It stays on the device: nothing waits for it.
        """
        if self.world == 1:
            return value
        total = value * self.weight(count) / self.world
        torch.distributed.all_reduce(total)
        return total

    def seed_noise(self, seed: int, epoch: int, step: int) -> None:
        """Seed each process differently; by names, so that a continued training needs no saved state."""
        if self.world > 1:
            torch.manual_seed(derive_seed("noise", seed, epoch, step, self.rank))

    def _bounds(self, count: int) -> tuple[int, int]:
        size, rest = divmod(count, self.world)
        start = self.rank * size + min(self.rank, rest)
        return start, start + size + (self.rank < rest)
