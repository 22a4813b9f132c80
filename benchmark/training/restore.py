"""Undo a step that ran out of memory: restore batch norm's statistics and the random states."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Snapshot:
    """Buffers and random states as they were at the start of a step.

    Saving costs one or two launches per step whatever the number of batch norms, and never waits for the device: the
    copies are allocated once and reused, and a CUDA generator's seed and offset are on the host.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._device = device
        groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for buffer in model.buffers():
            groups.setdefault((buffer.dtype, buffer.device), []).append(buffer)
        self._pairs = [(buffers, [b.detach().clone() for b in buffers]) for buffers in groups.values()]

    @torch.no_grad()
    def take(self) -> None:
        """Save the current state."""
        for buffers, copies in self._pairs:
            torch._foreach_copy_(copies, buffers)
        self._cpu = torch.get_rng_state()
        self._cuda = _cuda_place(self._device)

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the state of the last ``take``."""
        for buffers, copies in self._pairs:
            torch._foreach_copy_(buffers, copies)
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            self._cuda()


def _cuda_place(device: torch.device) -> Callable[[], None] | None:
    """Return a function that resets the device's generator to its current state; None without a CUDA generator."""
    if device.type != "cuda" or not torch.cuda.is_initialized():
        return None
    index = device.index if device.index is not None else torch.cuda.current_device()
    generator = torch.cuda.default_generators[index]
    seed, offset = generator.initial_seed(), generator.get_offset()

    def restore() -> None:
        generator.manual_seed(seed)
        generator.set_offset(offset)

    return restore
