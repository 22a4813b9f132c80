"""Constants of the weighted F-measure: the importance of a background pixel by its distance, and the filter.

A squared distance between pixels is an integer that is a sum of two squares, so distances are kept as ranks
among those. The importance 2 - 0.5^(D/5) differs from 2 by less than 1e-13 from D = 216 on; all further
pixels share the last rank, and ranks fit 16 bits.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FAR_PX = 216
"""Distance in pixels from which on the importance is 2 to double precision's needs."""

RING_SQ_MAX = 18
"""Squared distance of the farthest pixel that a 7 x 7 window around a foreground pixel can hold."""


@lru_cache(maxsize=1)
def squares() -> NDArray[np.int64]:
    """Return the squared distances that have a rank, ascending, from 0 to ``FAR_PX`` squared."""
    side = np.arange(FAR_PX + 1, dtype=np.int64) ** 2
    return np.unique(np.minimum(side[:, None] + side, FAR_PX**2))


@lru_cache(maxsize=1)
def rank_of_square() -> NDArray[np.uint16]:
    """Return the table from a squared distance (clipped to its last index) to its rank."""
    table = np.zeros(FAR_PX**2 + 1, np.uint16)
    table[squares()] = np.arange(len(squares()))
    return table


def scale_bits(num_pixels: int) -> int:
    """Return the number of binary places of a weight, so that a whole image's sum stays below 2**63."""
    return min(41, 62 - max(1, int(num_pixels)).bit_length())


@lru_cache(maxsize=8)
def fixed_weights(bits: int) -> NDArray[np.uint64]:
    """Return each rank's importance times 2**bits, rounded; 0 for rank 0, the foreground.

    Integers make the sums exact, so that they depend on no order of pixels and numba and numpy agree.
    """
    distance = np.sqrt(squares().astype(np.float64))
    weight = 2 - np.exp(np.log(0.5) / 5 * distance)
    weight[0] = 0
    return np.rint(np.ldexp(weight, bits)).astype(np.uint64)


@lru_cache(maxsize=1)
def taps() -> NDArray[np.float64]:
    """Return one half (centre last) of the 1-D factor of the 7 x 7 Gaussian, sigma 5, sum 1."""
    line = np.exp(-(np.arange(-3.0, 4.0) ** 2) / 50)
    return (line / line.sum())[:4].copy()
