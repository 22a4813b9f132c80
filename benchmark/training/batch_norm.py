"""Batch norm over the images of all processes, so that several devices train as one would.

On CUDA that is torch's SyncBatchNorm, by timm's converter, which knows timm's own layers too. It does not run on a CPU;
there ``F.batch_norm``, which every batch norm calls, is computed from sums over all processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def convert(model: nn.Module, fabric: Fabric) -> nn.Module:
    """Replace batch norms by SyncBatchNorm if several CUDA devices train; parameters stay the same."""
    if fabric.world_size == 1 or fabric.device.type != "cuda":
        return model
    from timm.layers import convert_sync_batchnorm

    return convert_sync_batchnorm(model)


@contextmanager
def synchronised(fabric: Fabric) -> Iterator[None]:
    """While the block runs on one of several CPU processes, batch norms in training see the images of all."""
    if fabric.world_size == 1 or fabric.device.type != "cpu":
        yield
        return
    with _OverAllProcesses():
        yield


class _OverAllProcesses(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not F.batch_norm:
            return function(*args, **(kwargs or {}))
        return _batch_norm(*args, **(kwargs or {}))


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm`` of the (B, C, ...) inputs of all processes together."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    dims = [0, *range(2, x.dim())]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    count = _sum(torch.tensor(x.numel() / x.shape[1], dtype=torch.float64))
    mean = (_sum(wide.sum(dims, dtype=torch.float64)) / count).to(wide.dtype)
    centred = wide - mean.view(shape)
    variance = (_sum(centred.square().sum(dims, dtype=torch.float64)) / count).to(wide.dtype)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            unbiased = variance * (count / (count - 1)).to(wide.dtype)
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    y = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        y = y * weight.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    return y.to(x.dtype)


class _Sum(torch.autograd.Function):
    """Sum over processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total


def _sum(x: Tensor) -> Tensor:
    return _Sum.apply(x)
