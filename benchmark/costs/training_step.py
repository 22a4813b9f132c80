"""What one training step costs: multiply-adds, seconds, and what it keeps in memory until the backward pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from benchmark.training.losses import get_criterion, training_loss

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_TIMED = 2
_CPU_BATCH = 2


@dataclass(frozen=True)
class StepCost:
    """Forward pass, loss and backward pass of one batch; the optimiser's own step is not in it.

    Attributes:
        batch: Images in the timed batch.
        gmacs: 1e9 multiply-adds per image, counted as torch's flop counter does, divided by two.
        seconds: Median seconds per image, after one step of warm-up.
        kept_mb: MB (2**20) per image of the tensors that autograd keeps for the backward pass, each storage once,
            without the weights. A count, the same on every device.
        peak_mb: On CUDA the allocator's peak during the timed steps, weights and gradients in it; else None.
    """

    batch: int
    gmacs: float
    seconds: float
    kept_mb: float
    peak_mb: float | None


def measure_step(
    model: nn.Module, fabric: Fabric, *, side: int, batch: int, loss: str, timed: int = _TIMED
) -> StepCost:
    """Train on random pixels: one counted step (which warms up), then some timed ones.

    Args:
        model: Network of the registry; it is moved to the device and keeps its gradients.
        fabric: Launched Lightning Fabric: device and precision.
        side: Side of the square input, px.
        batch: Images per step, at least two (batch norm needs them).
        loss: Loss of a recipe.
        timed: Timed steps.
    """
    device = fabric.device
    model = model.to(device).train()
    images = torch.randn(batch, 3, side, side, device=device)
    masks = (torch.rand(batch, 1, side, side, device=device) > 0.5).float()
    criterion = get_criterion(loss)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with fabric.autocast():
            result = training_loss(model, model(images), masks, criterion)
        result.backward()

    kept = _Kept(model)
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(kept.pack, kept.unpack):
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = [timed_call(step, device) for _ in range(timed)]
    return StepCost(
        batch=batch,
        gmacs=counter.get_total_flops() / 2e9 / batch,
        seconds=float(np.median(times)) / batch,
        kept_mb=kept.num_bytes / 2**20 / batch,
        peak_mb=torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None,
    )


def affordable_batch(batch: int, device: torch.device) -> int:
    """Return the batch to time a step with: a recipe's own on CUDA, two images on a CPU."""
    return max(2, batch) if device.type == "cuda" else _CPU_BATCH


def timed_call(call: Callable[[], Any], device: torch.device) -> float:
    """Seconds of a call, waiting for what it left on a CUDA device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


class _Kept:
    """Adds up the storages that autograd saves; it holds them all, so no address is used twice."""

    def __init__(self, model: nn.Module) -> None:
        self._seen = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
        self.num_bytes = 0

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.num_bytes += storage.nbytes()
        return tensor

    @staticmethod
    def unpack(tensor: Tensor) -> Tensor:
        return tensor
