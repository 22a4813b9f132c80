"""How a device computes a training: precision, memory format, compilation, where the recipe leaves them to it.

``auto`` is what is safe and fast without asking:

* precision: 32-true on a CPU, where half precision is slower; on CUDA bf16-mixed where the card computes in bf16
  itself (Ampere and later), else 16-mixed with a loss scaler.
* channels_last: on CUDA, whose tensor cores read that format; not on a CPU, where the numbers would change.
* compile: no. Compiling takes a minute or more per network and again for every image size (multi-scale recipes), and a
  resumed cell may get other kernels, hence other bits. It pays in long trainings at one size: ``--set compile=true``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config import Recipe
from benchmark.errors import BenchError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Compute:
    """The recipe's fields of the same names, resolved for a device."""

    precision: str
    channels_last: bool
    compile: bool

    def facts(self) -> dict[str, Any]:
        """What a record states."""
        return asdict(self)

    def in_words(self) -> str:
        """``bf16-mixed, channels last, compiled``."""
        words = [self.precision, *["channels last"] * self.channels_last, *["compiled"] * self.compile]
        return ", ".join(words)


def resolve(recipe: Recipe, device: torch.device) -> Compute:
    """Settle what the recipe leaves to the device."""
    cuda = device.type == "cuda"
    precision: str = recipe.precision
    if precision == "auto":
        precision = _half(device) if cuda else "32-true"
    channels_last = cuda if recipe.channels_last == "auto" else recipe.channels_last
    return Compute(precision, channels_last, recipe.compile is True)


def _half(device: torch.device) -> str:
    import torch

    with torch.cuda.device(device):
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


@contextmanager
def explain_compiler() -> Iterator[None]:
    """Turn what torch.compile raises (no C++ compiler, code it cannot follow) into one line."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = " ".join(str(error).split())[:160]
        raise BenchError(f"compile = true: torch.compile failed ({reason}); train with compile = auto") from error


def give_back() -> None:
    """Return what a finished cell held: cycles between Python objects, CUDA's cached blocks, glibc's free pages.

    Networks of different shapes leave the heap full of gaps: without the last, a run over six models grew by 400 MB.
    """
    import ctypes
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
