"""Front ends by name: the classical ones, and the attention denoiser by its file of weights."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Protocol

from benchmark.errors import BenchError
from benchmark.robustness.corruptions.base import Pixels
from benchmark.robustness.denoising.classical import FRONT_ENDS, FrontEnd, get_front_end

WEIGHTS_SUFFIX = ".pt"


class Denoiser(Protocol):
    """A denoiser in front of a network."""

    @property
    def label(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def hash(self) -> str: ...
    def __call__(self, image: Pixels) -> Pixels: ...


@lru_cache(maxsize=8)
def get_denoiser(name: str) -> Denoiser:
    """Return a front end: a classical one by name, or the attention denoiser by ``FILE.pt``.

    Raises:
        BenchError: Unknown name (the nearest is given), or no file of weights.
    """
    if not name.endswith(WEIGHTS_SUFFIX):
        return get_front_end(name)
    if not Path(name).is_file():
        raise BenchError(
            f"denoiser {name}: not found; expected weights from bench denoise train, or {', '.join(FRONT_ENDS)}"
        )
    from benchmark.robustness.denoiser import load_denoiser

    return load_denoiser(Path(name))


__all__ = ["Denoiser", "FrontEnd", "get_denoiser"]
