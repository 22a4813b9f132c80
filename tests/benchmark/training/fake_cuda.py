"""A CUDA device where there is none: shapes, types, devices and synchronisations of real code, without its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda", 0)
DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
HAS_ENGINE = torch.cuda.is_available() or not torch.backends.cuda.is_built()
"""Whether autograd's engine runs on fake CUDA tensors: a CUDA build without a driver refuses (torch 2.14)."""


@contextmanager
def autocast(precision: str) -> Iterator[None]:
    """``torch.autocast`` on CUDA, which turns itself off where there is no card."""
    if precision == "32-true":
        yield
        return
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", DTYPES[precision])
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)


def to_fake_cuda(model: nn.Module) -> nn.Module:
    """Put a network's parameters and buffers on the fake card; within a ``FakeTensorMode``."""
    for module in model.modules():
        for name, value in module._parameters.items():
            if value is not None:
                empty = torch.empty(value.shape, dtype=value.dtype, device=CUDA)
                module._parameters[name] = nn.Parameter(empty, requires_grad=value.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=CUDA)
    return model


class _Precision(MixedPrecision):
    def forward_context(self) -> AbstractContextManager:
        return autocast(self.precision)


class FakeCudaFabric(Fabric):
    """Fabric on the fake card, but for the backward pass, which torch's engine refuses there: gradients are made up."""

    def __init__(self, precision: str) -> None:
        scaler = torch.amp.GradScaler("cpu") if precision == "16-mixed" else None  # it asks for no card by that name
        plugin: Precision = Precision() if precision == "32-true" else _Precision(precision, "cuda", scaler)  # type: ignore[arg-type]
        super().__init__(accelerator="cpu", devices=1, plugins=[plugin])

    @property
    def device(self) -> torch.device:
        return CUDA

    def backward(self, tensor: Tensor, *args: Any, model: Any = None, **kwargs: Any) -> None:
        scaler = getattr(self.strategy.precision, "scaler", None)
        tensor = tensor if scaler is None else scaler.scale(tensor)
        check_graph(tensor)
        for parameter in self.trained:
            parameter.grad = torch.empty_like(parameter)

    trained: list[nn.Parameter]


def check_graph(tensor: Tensor) -> int:
    """Hold every node of a backward graph to CUDA: gradients flow along these edges; returns how many there are."""
    seen, waiting = set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        for one in node._input_metadata:
            assert one.device.type == "cuda" and one.dtype.is_floating_point, f"{node.name()}: {one.device} {one.dtype}"
        waiting += [following for following, _ in node.next_functions]
    return len(seen)


_WAITS = {
    "_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "bincount", "unique", "_unique2",
    "unique_consecutive", "unique_dim", "repeat_interleave.Tensor", "allclose",
}  # fmt: skip


class Waits(TorchDispatchMode):
    """Notes each operation for which the host waits for the card: a number read, a copy that blocks, a size unknown."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function._schema.name.removeprefix("aten::")
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        if name in _WAITS and any(t.device.type == "cuda" for t in tensors):
            self.found.append(name)
        if name in ("index", "index_put_") and any(
            isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1] or ()
        ):
            self.found.append(f"{name} by a mask")
        result = function(*args, **kwargs)
        blocks = not (kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2]))
        if name in ("_to_copy", "copy_") and blocks:
            source = args[1] if name == "copy_" else args[0]
            if source.device.type != result.device.type:
                self.found.append(f"{name} from {source.device.type} to {result.device.type}")
        return result


def on_card(mode: FakeTensorMode, tensor: Tensor) -> Tensor:
    """A tensor of the CPU as one of the fake card."""
    with mode:
        return mode.from_tensor(tensor).to(CUDA, non_blocking=True)


@contextmanager
def moved_by(mode: FakeTensorMode, *modules: Any) -> Iterator[None]:
    """Let ``to_device`` of some modules move to the fake card; every other way to it fails."""
    kept = [module.to_device for module in modules]
    for module in modules:
        module.to_device = lambda tensor, device: on_card(mode, tensor)
    try:
        yield
    finally:
        for module, function in zip(modules, kept, strict=True):
            module.to_device = function
