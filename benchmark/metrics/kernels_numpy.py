"""The passes over pixels in plain numpy and scipy: the same results as ``kernels.py``, bit for bit, slower."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.ratios import enhanced_alignment, ratios
from benchmark.metrics.weights import RING_SQ_MAX, rank_of_square

U64 = NDArray[np.uint64]


def project(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the foreground pixels of each row, (H,), and of each column, (W,)."""
    return mask.sum(axis=1, dtype=np.int64), mask.sum(axis=0, dtype=np.int64)


def nearest_foreground(
    mask: NDArray[np.bool_], box: tuple[int, int, int, int]
) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
    """Return each pixel's distance rank, the pixels close to the foreground, and their nearest foreground pixel.

    Args:
        mask: (H, W), with at least one foreground pixel.
        box: Rows y0 to y1 and columns x0 to x1 (exclusive) that hold the whole foreground; a hint for speed.
    Returns:
        rank: (H, W) rank of the squared distance to the foreground, 0 inside it.
        at: (R,) flat indices of background pixels whose squared distance is at most ``RING_SQ_MAX``.
        source: (R,) flat index of the foreground pixel nearest to each (ties: lowest column, then row).
    """
    from scipy.ndimage import distance_transform_edt

    rows, cols = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    square = (rows - y) ** 2 + (cols - x) ** 2
    rank = rank_of_square()[np.minimum(square, len(rank_of_square()) - 1)]
    at = np.flatnonzero((square > 0) & (square <= RING_SQ_MAX))
    source = (rows.astype(np.int64) * mask.shape[1] + cols).ravel()[at]
    return rank, at, source


def joint_histogram(
    levels: NDArray[np.uint8],
    rank: NDArray[np.uint16],
    weight: U64,
    split: tuple[int, int],
    foreground: NDArray[np.int64],
    base: int,
) -> tuple[NDArray[np.int64], U64]:
    """Count the pixels of each level and sum the weights of each level's background pixels.

    Args:
        levels: (H, W) map.
        rank: (H, W) distance ranks, 0 in the foreground.
        weight: Fixed-point weight of each rank, 0 for rank 0.
        split: Rows above and columns left of the split into quadrants.
        foreground: (4,) foreground pixels per quadrant, which the compiled pass need not count.
        base: A level, best the most frequent one, whose weights are not wanted.
    Returns:
        counts: (4, 2, 256), quadrants (upper left, upper right, lower left, lower right) x (background,
            foreground) x level.
        sums: (256,) fixed-point sums of weights; zero at ``base``.
    """
    cy, cx = split
    joint = levels + (rank == 0) * np.int64(256)
    parts = (joint[:cy, :cx], joint[:cy, cx:], joint[cy:, :cx], joint[cy:, cx:])
    counts = np.stack([np.bincount(part.ravel(), minlength=512) for part in parts]).reshape(4, 2, 256)
    sums = np.zeros(256, np.uint64)
    seen = levels != base
    np.add.at(sums, levels[seen], weight[rank[seen]])
    return counts, sums


def foreground_errors(
    levels: NDArray[np.uint8],
    error: NDArray[np.float64],
    rank: NDArray[np.uint16],
    box: tuple[int, int, int, int],
    ring: tuple[NDArray[np.int32], NDArray[np.int32]],
    taps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return, per column of the box, the sum of min(E, smoothed E) over the foreground, from the top down.

    Args:
        levels: (H, W) map.
        error: (256,) error of each level at a foreground pixel, 1 - value.
        rank: (H, W) distance ranks, 0 in the foreground.
        box: Rows y0 to y1 and columns x0 to x1 (exclusive) that hold the whole foreground.
        ring: Flat indices into the box padded by 3, ascending, and into the map, see ``Plan``.
        taps: (4,) one half of the symmetric 7-tap filter, centre last.
    Returns:
        (x1 - x0,) float64.
    """
    y0, y1, x0, x1 = box
    inside = rank[y0:y1, x0:x1] == 0
    field = np.zeros((y1 - y0 + 6, x1 - x0 + 6))
    field[3:-3, 3:-3][inside] = error[levels[y0:y1, x0:x1][inside]]
    field.ravel()[ring[0]] = error[levels.ravel()[ring[1]]]
    smooth = _filter(_filter(field, taps).T, taps).T
    least = np.where(inside, np.minimum(field[3:-3, 3:-3], smooth), 0.0)
    return least.cumsum(axis=0)[-1]  # type: ignore[no-any-return]


def _filter(field: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the 7-tap filter along the last axis, keeping full windows only; the order of sums is fixed."""
    n = field.shape[1] - 6
    c = [field[:, i : i + n] for i in range(7)]
    return taps[3] * c[3] + taps[2] * (c[2] + c[4]) + taps[1] * (c[1] + c[5]) + taps[0] * (c[0] + c[6])


def moments(
    counts: NDArray[np.int64], value: NDArray[np.float64]
) -> tuple[list[list[float]], list[list[float]], float, float]:
    """Return the fields of ``statistic.Moments``; every sum runs from level 0 up, so that its digits are defined.

    Args:
        counts: (4, 2, 256) as in ``joint_histogram``.
        value: (256,) what each level is worth.
    """
    both = counts.sum(axis=1)
    n, safe = both.sum(axis=1), np.maximum(both.sum(axis=1), 1)
    mean = _total(both * value) / safe
    spread = value - mean[:, None]
    columns = (n, counts[:, 1].sum(axis=1), np.count_nonzero(both, axis=1), mean, _total(both * (spread * spread)))
    apart = _total(counts * spread[:, None])
    quadrants = np.stack([*columns, apart[:, 0], apart[:, 1]], axis=1)
    classes, sums = counts.sum(axis=0), np.stack([1 - value, value])
    size = classes.sum(axis=1)
    means = _total(classes * sums) / np.maximum(size, 1)
    apart = sums - means[:, None]
    parts = np.stack([size, means, _total(classes * (apart * apart))], axis=1)
    error = _total(classes[0] * value + classes[1] * (1 - value))
    return quadrants.tolist(), parts.tolist(), float(_total(both.sum(axis=0) * value)), float(error)


def _total(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums over the last axis, added strictly one after another."""
    return terms.cumsum(axis=-1)[..., -1]  # type: ignore[no-any-return]


def threshold_table(
    counts: NDArray[np.int64],
    first: NDArray[np.int64],
    num_fg: int,
    num_pixels: int,
    zero_tp: str,
    mean_iou: bool,
) -> NDArray[np.float64]:
    """Return E, Dice, IoU, precision, recall, specificity and F at each threshold.

    Args:
        counts: (4, 2, 256) as in ``joint_histogram``.
        first: (T,) the lowest level that passes each threshold, 256 if none does.
        num_fg: Foreground pixels.
        num_pixels: All pixels.
        zero_tp: See ``Protocol.zero_tp``.
        mean_iou: Average foreground and background IoU.
    Returns:
        (7, T) float64.
    """
    passed = np.zeros((2, 257), np.int64)
    passed[:, :256] = counts.sum(axis=0)[:, ::-1].cumsum(axis=1)[:, ::-1]
    fp, tp = passed[:, first]
    six = ratios(tp, fp, num_fg, num_pixels, zero_tp=zero_tp, mean_iou=mean_iou)
    return np.vstack([enhanced_alignment(tp, fp, num_fg, num_pixels), six])
