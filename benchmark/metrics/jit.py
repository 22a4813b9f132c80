"""How numba compiles here: for one signature, one thread, no fast-math, so that every digit is defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import types


def readonly(dtype: Any, ndim: int) -> Any:
    """Return the type of a C-ordered array that is only read; writable arrays match it too."""
    return types.Array(dtype, ndim, "C", readonly=True)


def compiled(*signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile for one signature, with the cache on disk if there is a place for it."""

    def wrap(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(signature, cache=True, nogil=True)(function)
        except (RuntimeError, OSError):  # numba found no directory that it may write
            return numba.njit(signature, nogil=True)(function)

    return wrap


U8, U16, U64, I32, I64, F8 = (
    types.uint8,
    types.uint16,
    types.uint64,
    types.int32,
    types.int64,
    types.float64,
)
