"""Tell whether two look-alikes are one picture: align them, then correlate what is left when light is taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.twins.candidates import WHOLE, Candidate, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

THRESHOLD = 0.6
"""Correlation from which two pictures count as one. Measured by ``tests/perf/audit_planted.py``."""

_MIN_SHARE = 0.15  # of the picture that must be visible in both
_DARK, _BRIGHT = 12, 245  # the black frame and saturated spots show nothing that could agree
_STEPS = 12
_HOPELESS = (4, 0.2)  # after so many steps below this correlation no alignment will come


@dataclass(frozen=True)
class Match:
    """How well two pictures agree.

    Attributes:
        correlation: Of their detail after alignment, [-1, 1].
        window: The part of the first picture that the second shows.
    """

    correlation: float
    window: Window


def verify(thumbs: NDArray[np.uint8], candidate: Candidate) -> Match:
    """Align a candidate's second picture with its first and correlate them.

    Args:
        thumbs: (N, S, S) uint8 grey, of which the candidate names two.
        candidate: Where to start from.
    """
    first, second = thumbs[candidate.first], thumbs[candidate.second]
    across, down = candidate.flip
    first = first[:: -1 if down else 1, :: -1 if across else 1]
    return align(detail(first), detail(second), _turned(candidate.window, candidate.flip))


def _turned(window: Window, flip: tuple[bool, bool]) -> Window:
    """Return the window in the mirrored picture."""
    top, bottom, left, right = window
    if flip[0]:
        left, right = 1 - right, 1 - left
    if flip[1]:
        top, bottom = 1 - bottom, 1 - top
    return top, bottom, left, right


def detail(grey: NDArray[np.uint8]) -> tuple[Floats, Mask]:
    """Return a picture without its light, each neighbourhood scaled to equal contrast, and where it shows anything.

    The black frame that all pictures of one endoscope share, and its overlay's neighbourhood, are left out: they
    would make unrelated pictures agree.
    """
    from scipy.ndimage import binary_erosion, gaussian_filter

    values = grey.astype(np.float32)
    seen = (values > max(_DARK, 0.12 * float(np.percentile(values, 95)))) & (values < _BRIGHT)
    seen = binary_erosion(seen, iterations=2, border_value=1)
    if seen.mean() < _MIN_SHARE:
        seen = np.ones_like(seen)
    weight = seen.astype(np.float32)
    total = gaussian_filter(weight, 4.0) + np.float32(1e-6)
    local = gaussian_filter(values * weight, 4.0) / total
    fine = gaussian_filter(values, 0.6) - local
    spread = np.sqrt(gaussian_filter(fine * fine * weight, 4.0) / total + 4.0)
    return np.where(seen, fine / spread, 0).astype(np.float32), seen


def align(first: tuple[Floats, Mask], second: tuple[Floats, Mask], start: Window = WHOLE) -> Match:
    """Find the window of the first picture that the second shows (Gauss-Newton over its four edges)."""
    edges = np.array(start, np.float64)
    best = Match(-1.0, start)
    for step in range(_STEPS):
        view, seen = _view(first, edges)
        seen &= second[1]
        correlation = _correlate(view, second[0], seen)
        if correlation > best.correlation:
            best = Match(correlation, (float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])))
        if seen.mean() < _MIN_SHARE or (step >= _HOPELESS[0] and best.correlation < _HOPELESS[1]):
            break
        move = _step(view, second[0], seen, edges)
        edges = edges + move
        if np.abs(move).max() < 3e-4:
            break
    return best


def _view(picture: tuple[Floats, Mask], edges: NDArray[np.float64]) -> tuple[Floats, Mask]:
    """Return the part of a picture between four edges, at the picture's own size, and where it shows anything."""
    from scipy.ndimage import map_coordinates

    size = picture[0].shape[0]
    unit = (np.arange(size) + 0.5) / size
    y = (edges[0] + (edges[1] - edges[0]) * unit) * size - 0.5
    x = (edges[2] + (edges[3] - edges[2]) * unit) * size - 0.5
    grid = np.meshgrid(y, x, indexing="ij")
    inside = ((y >= 0) & (y <= size - 1))[:, None] & ((x >= 0) & (x <= size - 1))
    seen = map_coordinates(picture[1].astype(np.float32), grid, order=1, mode="nearest") > 0.99
    return map_coordinates(picture[0], grid, order=1, mode="nearest"), seen & inside


def _correlate(first: Floats, second: Floats, seen: Mask) -> float:
    if seen.mean() < _MIN_SHARE:
        return 0.0
    a, b = first[seen] - first[seen].mean(), second[seen] - second[seen].mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))


def _step(view: Floats, target: Floats, seen: Mask, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how to move the four edges so that the view comes nearer to the target."""
    size = view.shape[0]
    unit = (np.arange(size) + 0.5) / size
    slope_y, slope_x = np.gradient(view)
    slope_y, slope_x = slope_y * size / (edges[1] - edges[0]), slope_x * size / (edges[3] - edges[2])
    down, across = unit[:, None], unit[None]
    parts = (slope_y * (1 - down), slope_y * down, slope_x * (1 - across), slope_x * across)
    slopes = np.stack([part[seen] for part in parts], axis=1)
    rest = (target[seen] - target[seen].mean()) - (view[seen] - view[seen].mean())
    normal = slopes.T @ slopes
    damped = normal + np.eye(4) * (0.01 * np.trace(normal) / 4 + 1e-9)
    return np.clip(np.linalg.solve(damped, slopes.T @ rest), -0.02, 0.02)
