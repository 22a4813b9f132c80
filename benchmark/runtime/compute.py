"""How a device computes a training: precision, memory format, kernels, compilation, where the recipe says ``auto``.

``auto`` means:

* precision: 32-true on a CPU, where half precision is slower; on CUDA bf16-mixed where the card computes in bf16
  itself (Ampere and later), else 16-mixed with a loss scaler.
* channels_last: on CUDA, whose tensor cores read that format; not on a CPU, where the numbers would change.
* tf32: no. 32-true then means IEEE float32 on every card; ``--set tf32=true`` rounds the factors of convolutions and
  matrix products to 10 bits, several times faster on tensor cores.
* cudnn_benchmark: on CUDA: cuDNN times its algorithms once per shape. ``--deterministic`` turns it off.
* compile: no. Compiling takes a minute or more per network and again for every image size (multi-scale recipes), and a
  resumed cell may get other kernels, hence other bits. It pays in long trainings at one size: ``--set compile=true``,
  or ``--set compile=cuda-graphs``, which replays recorded launches and so helps small networks on large cards.

On CUDA the optimisers are fused (one kernel for all parameters).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmark.config import Recipe
from benchmark.errors import BenchError

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Compute:
    """The recipe's fields of the same names, resolved for a device; None where the device has no such setting."""

    precision: str
    channels_last: bool
    compile: Literal[True, False, "cuda-graphs"]
    tf32: bool | None = None
    cudnn_benchmark: bool | None = None
    fused_optimizer: bool | None = None

    def facts(self) -> dict[str, Any]:
        """The values for a record."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def in_words(self) -> str:
        """``bf16-mixed, channels last, compiled``."""
        words = [self.precision, *["channels last"] * self.channels_last, *["TF32"] * (self.tf32 is True)]
        words += ["CUDA graphs" if self.compile == "cuda-graphs" else "compiled"] if self.compile else []
        return ", ".join(words)

    def compiled(self, model: nn.Module) -> Any:
        """The network as training calls it."""
        import torch

        if not self.compile:
            return model
        return torch.compile(model, mode="reduce-overhead" if self.compile == "cuda-graphs" else None)


def resolve(recipe: Recipe, device: torch.device) -> Compute:
    """Resolve the recipe's ``auto`` fields for a device."""
    cuda = device.type == "cuda"
    precision: str = recipe.precision
    if precision == "auto":
        precision = _half(device) if cuda else "32-true"
    channels_last = cuda if recipe.channels_last == "auto" else recipe.channels_last
    compiled: Any = False if recipe.compile == "auto" else recipe.compile
    if not cuda:
        return Compute(precision, channels_last, compiled)
    import torch

    benchmark = recipe.cudnn_benchmark is not False and not torch.are_deterministic_algorithms_enabled()
    return Compute(precision, channels_last, compiled, recipe.tf32 is True, benchmark, fused_optimizer=True)


def set_kernels(compute: Compute) -> None:
    """Set this process's switches for CUDA kernels; whoever opens a device for a recipe calls it."""
    if compute.tf32 is None or compute.cudnn_benchmark is None:
        return
    import torch

    torch.set_float32_matmul_precision("high" if compute.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = compute.tf32
    torch.backends.cudnn.benchmark = compute.cudnn_benchmark


def _half(device: torch.device) -> str:
    import torch

    with torch.cuda.device(device):
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


@contextmanager
def explain_compiler() -> Iterator[None]:
    """Turn errors of torch.compile (no C++ compiler, code it cannot trace) into one line."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = " ".join(str(error).split())[:160]
        raise BenchError(f"compile = true: torch.compile failed ({reason}); train with compile = auto") from error
