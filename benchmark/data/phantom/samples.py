"""Three synthetic pictures to try a network with, drawn when they are asked for; nothing is written."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.dataset import one_blas_thread
from benchmark.data.phantom.domains import DOMAINS

NAMES = {"kvasir": "one polyp", "colondb": "another camera", "etis": "a small, pale polyp"}


@lru_cache(maxsize=3)
def sample_picture(name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of one of ``NAMES``; it is in no dataset. ``KeyError`` for another name."""
    from benchmark.data.phantom.draw import draw_sequence

    with one_blas_thread():
        return next(iter(draw_sequence(DOMAINS[f"phantom-{name}"], f"sample/{name}", 1)))[0]
