"""Which of the two sets of pixel passes is used: numba's, or plain numpy's."""

from __future__ import annotations

import importlib
import os
from functools import lru_cache
from typing import Protocol as Interface
from typing import cast

import numpy as np
from numpy.typing import NDArray


class Kernels(Interface):
    """The passes that both modules have; see the latter for their meaning."""

    def project(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

    def nearest_foreground(
        self, mask: NDArray[np.bool_], box: tuple[int, int, int, int]
    ) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]: ...

    def joint_histogram(
        self,
        levels: NDArray[np.uint8],
        rank: NDArray[np.uint16],
        weight: NDArray[np.uint64],
        split: tuple[int, int],
        foreground: NDArray[np.int64],
        base: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]: ...

    def foreground_errors(
        self,
        levels: NDArray[np.uint8],
        error: NDArray[np.float64],
        rank: NDArray[np.uint16],
        box: tuple[int, int, int, int],
        ring: tuple[NDArray[np.int32], NDArray[np.int32]],
        taps: NDArray[np.float64],
    ) -> NDArray[np.float64]: ...

    def moments(
        self, counts: NDArray[np.int64], value: NDArray[np.float64]
    ) -> tuple[list[list[float]], list[list[float]], float, float]: ...

    def threshold_table(
        self,
        counts: NDArray[np.int64],
        first: NDArray[np.int64],
        num_fg: int,
        num_pixels: int,
        zero_tp: str,
        mean_iou: bool,
    ) -> NDArray[np.float64]: ...


def kernels() -> Kernels:
    """Return numba's kernels, or numpy's if numba is absent or ``BENCH_NO_NUMBA=1`` is set."""
    return _load(os.environ.get("BENCH_NO_NUMBA", "") not in ("", "0"))


@lru_cache(maxsize=2)
def _load(plain: bool) -> Kernels:
    if not plain:
        try:
            return cast(Kernels, importlib.import_module("benchmark.metrics.kernels"))
        except ImportError:
            pass
    return cast(Kernels, importlib.import_module("benchmark.metrics.kernels_numpy"))
