"""Memory of a device: recognising that it ran out, a fair share of it, and freeing what a cell held."""

from __future__ import annotations

import os
import sys

GPU_SHARE = "BENCH_GPU_SHARE"
"""Environment variable with the share of its GPU's memory that a worker may take, in (0, 1]."""

_SIGNS = (
    "out of memory",  # torch's allocator and the CUDA runtime
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # cuBLAS found no memory for its workspace when it was first used
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",  # cuDNN, where no algorithm's workspace fits
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU's memory was short, whichever library noticed it."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" not in text and any(s in text for s in _SIGNS)


def limit_to_share(index: int) -> None:
    """Keep this process to its share of a GPU's memory, where several of one run share the GPU (``--workers``)."""
    share = os.environ.get(GPU_SHARE)
    if not share:
        return
    import torch

    torch.cuda.set_per_process_memory_fraction(float(share), index)


def give_back() -> None:
    """Free what a finished cell held: cycles between Python objects, CUDA's cached blocks, glibc's free pages.

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
