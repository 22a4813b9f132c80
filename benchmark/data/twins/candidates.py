"""Find pictures that look alike among many: a hash of 80 bits, and an index that never compares all with all.

The hash holds the signs of the lowest 9 x 9 cosine coefficients (without the constant) of the grey picture under a
sine window. The window lets borders count for little, so that a crop changes few bits; brightness and contrast
change none but by saturation; a mirrored picture has the same coefficients with alternating signs, so its hash costs
nothing. Every picture is entered once, whole, and looked up by seven windows (the whole, 95 % in five positions,
90 %) in four orientations.

Lookup: the 80 bits are cut into five keys of 16; two hashes that differ in at most nine bits agree on one key up to
one bit, so 17 keys of each of the five tables are looked at (multi-index hashing; Norouzi, Punjani, Fleet, CVPR
2012). Pairs up to ``RADIUS`` bits are reported; between ten and ``RADIUS`` a pair is met with high probability only.
The work grows in proportion to the number of images, plus the pairs that share a key by chance, n^2 / 2^16 per key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Keys = NDArray[np.uint16]

ORDER = 9
NUM_KEYS = 5
NUM_BITS = 16 * NUM_KEYS
RADIUS = 12
"""Greatest number of bits in which two hashes may differ to be a candidate."""

Window = tuple[float, float, float, float]
"""Part of a picture: top, bottom, left, right, in [0, 1]."""

WHOLE: Window = (0.0, 1.0, 0.0, 1.0)
WINDOWS: tuple[Window, ...] = (
    WHOLE,
    (0.025, 0.975, 0.025, 0.975),
    *((y, y + 0.95, x, x + 0.95) for y in (0.0, 0.05) for x in (0.0, 0.05)),
    (0.05, 0.95, 0.05, 0.95),
)
FLIPS: tuple[tuple[bool, bool], ...] = ((False, False), (True, False), (False, True), (True, True))
"""Mirrored left to right, and top to bottom."""

MIN_CONTRAST = 2.0
"""A picture whose grey values deviate by less (standard deviation) shows nothing to compare."""

_BATCH = 2048
_BITS = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)
_PROBES = np.array([0, *(1 << bit for bit in range(16))], np.uint16)


@dataclass(frozen=True)
class Candidate:
    """Two pictures whose hashes are close: picture ``first``, seen through ``window`` and flipped, is ``second``."""

    first: int
    second: int
    window: Window
    flip: tuple[bool, bool]
    distance: int


def hashes(thumbs: NDArray[np.uint8], window: Window = WHOLE) -> Keys:
    """Return the hashes of grey pictures (N, S, S) seen through a window, (N, 5) uint16."""
    return _pack(coefficients(thumbs, window) > 0)


def coefficients(thumbs: NDArray[np.uint8], window: Window) -> Floats:
    """Return the windowed cosine coefficients of grey pictures (N, S, S), (N, 9, 9) float32."""
    rows, row_weight = _basis(thumbs.shape[1], window[0], window[1])
    columns, column_weight = _basis(thumbs.shape[2], window[2], window[3])
    parts = []
    for start in range(0, len(thumbs), _BATCH):
        grey = thumbs[start : start + _BATCH].astype(np.float32)
        mean = (grey @ column_weight) @ row_weight  # of the window, so that brightness falls out
        parts.append(rows @ (grey - mean[:, None, None]) @ columns.T)
    return np.concatenate(parts) if parts else np.zeros((0, ORDER, ORDER), np.float32)


def _basis(size: int, low: float, high: float) -> tuple[Floats, Floats]:
    """Return cosine waves over a part of an axis under a sine window, (9, size), and the window, summing to one."""
    place = ((np.arange(size) + 0.5) / size - low) / (high - low)
    weight = np.where((place > 0) & (place < 1), np.sin(np.pi * np.clip(place, 0, 1)), 0)
    weight /= weight.sum()
    waves = np.cos(np.pi * np.arange(ORDER)[:, None] * place) * weight
    return waves.astype(np.float32), weight.astype(np.float32)


def _pack(signs: NDArray[np.bool_]) -> Keys:
    bits = signs.reshape(len(signs), -1)[:, 1:]  # without the constant
    return np.packbits(bits, axis=1).view(">u2").astype(np.uint16)


def _flipped(signs: Floats, flip: tuple[bool, bool]) -> Floats:
    """Return the coefficients of the mirrored pictures: odd waves change their sign."""
    turned = signs.copy()
    if flip[0]:
        turned[:, :, 1::2] *= -1
    if flip[1]:
        turned[:, 1::2] *= -1
    return turned


def distance(first: Keys, second: Keys) -> NDArray[np.int64]:
    """Return the number of bits in which hashes (N, 5) differ."""
    return _BITS[first ^ second].sum(axis=-1, dtype=np.int64)


def find_candidates(thumbs: NDArray[np.uint8], *, radius: int = RADIUS) -> list[Candidate]:
    """Return the pairs of pictures that may be one, each pair once, with the window and flip that fit best.

    Args:
        thumbs: (N, S, S) uint8 grey.
        radius: Greatest distance in bits.
    """
    varied = np.flatnonzero(thumbs.std(axis=(1, 2)) >= MIN_CONTRAST)
    if len(varied) < 2:
        return []
    shown = thumbs[varied]
    index = Index(hashes(shown))
    best: dict[tuple[int, int], Candidate] = {}
    for window in WINDOWS:
        seen = coefficients(shown, window)
        for flip in FLIPS:
            for first, second, bits in index.search(_pack(_flipped(seen, flip) > 0), radius):
                for a, b, d in zip(first.tolist(), second.tolist(), bits.tolist(), strict=True):
                    _keep(best, Candidate(int(varied[a]), int(varied[b]), window, flip, d))
    return [best[key] for key in sorted(best)]


def _keep(best: dict[tuple[int, int], Candidate], one: Candidate) -> None:
    if one.first == one.second:
        return
    key = (min(one.first, one.second), max(one.first, one.second))
    old = best.get(key)
    if old is None or one.distance < old.distance:
        best[key] = one


class Index:
    """Hashes sorted by each of their five keys."""

    def __init__(self, keys: Keys) -> None:
        """Enter hashes, (N, 5) uint16."""
        self.keys = keys
        self.order = [np.argsort(keys[:, k], kind="stable").astype(np.int32) for k in range(NUM_KEYS)]
        counts = [np.bincount(keys[:, k], minlength=1 << 16) for k in range(NUM_KEYS)]
        self.starts = [np.concatenate([[0], np.cumsum(count)]) for count in counts]

    def search(self, queries: Keys, radius: int) -> Iterator[tuple[NDArray[np.int64], ...]]:
        """Yield (queries, entries, bits that differ) of pairs up to ``radius`` bits; a pair may come again.

        Memory: about 50 bytes per pair that shares a key, for ``_BATCH`` queries at a time.
        """
        for begin in range(0, len(queries), _BATCH):
            batch = queries[begin : begin + _BATCH]
            for k in range(NUM_KEYS):
                probes = batch[:, k, None] ^ _PROBES  # (n, 17)
                low, high = self.starts[k][probes], self.starts[k][probes.astype(np.int64) + 1]
                number = (high - low).sum(axis=1)
                rows = np.repeat(np.arange(len(batch)), number)
                entries = self.order[k][_ranges(low.ravel(), high.ravel())]
                bits = distance(batch[rows], self.keys[entries])
                near = bits <= radius
                yield rows[near] + begin, entries[near].astype(np.int64), bits[near]


def _ranges(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return low[0]..high[0]-1, low[1]..high[1]-1 and so on in one array."""
    number = high - low
    ends = np.cumsum(number)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(low - (ends - number), number)
