"""Training pixels stored on the GPU as bytes, if they fit: a batch is then a single gather."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmark.data.pixels.draws import to_device
from benchmark.data.pixels.pool import Pool

SHARE_OF_CARD, SHARE_OF_FREE = 0.10, 0.30
"""Share of the GPU's memory, and of its free memory, that pixels may use; the rest is for the network."""
_CHUNK = 256


class Resident:
    """A pool's images (N, S, S, 3) and masks (N, S, S), uint8, on a device."""

    def __init__(self, pool: Pool, device: torch.device) -> None:
        self.names, self.labels, self.sizes = pool.names, pool.labels, pool.sizes
        self._device = device
        starts = range(0, len(pool), _CHUNK)
        chunks = [pool.batch(np.arange(start, min(start + _CHUNK, len(pool)))) for start in starts]
        self.images, self.masks = (torch.cat([pair[i].to(device) for pair in chunks]) for i in (0, 1))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Copy images (B, S, S, 3) and masks (B, S, S) on the device, without waiting for it."""
        where = to_device(torch.from_numpy(np.ascontiguousarray(positions, dtype=np.int64)), self._device)
        return self.images.index_select(0, where), self.masks.index_select(0, where)


def fits(pools: tuple[Pool, ...], device: torch.device) -> bool:
    """Return whether the pixels of some pools fit on a device; False on a CPU, where they are mapped from disk."""
    if device.type != "cuda":
        return False
    free, total = torch.cuda.mem_get_info(device)
    return num_bytes(pools) <= min(SHARE_OF_CARD * total, SHARE_OF_FREE * free)


def num_bytes(pools: tuple[Pool, ...]) -> int:
    """Bytes of all images and masks."""
    return sum(
        len(part) * (part.pixels.images[0].nbytes + part.pixels.masks[0].nbytes) for p in pools for part in p.parts
    )
