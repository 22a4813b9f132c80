"""Lesions found and false alarms: the connected parts of a mask against those of a binarised map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.metrics.levels import Levels, Mask, check_mask

MIN_IOU: Final = 0.5
"""Default overlap from which a part of the map detects a lesion."""

LEAST_SHARE: Final = 1e-4
"""Parts below this share of the image are specks, no lesions and no alarms: 1 px beside outlines in JPEG masks."""

_EIGHT: Final = np.ones((3, 3), int)


def count_lesions(pred: NDArray[np.bool_], mask: NDArray[np.bool_], *, min_iou: float = MIN_IOU) -> dict[str, int]:
    """Match the parts of a binarised map to lesions, one to one.

    Lesions and parts are 8-connected components of at least ``LEAST_SHARE`` of the image, in the mask as in the map:
    12 of the 132 components in the masks of Kvasir's 100 test images are single pixels beside an outline, left there by
    JPEG; the smallest lesion has 637 px. A part finds a lesion where their IoU is at least
    ``min_iou``; pairs are taken from the greatest IoU down, and no part or lesion twice. A part without a lesion is
    false; two parts on one lesion are one found lesion and one false part.

    Args:
        pred: (H, W) boolean map.
        mask: (H, W) boolean ground truth.
        min_iou: Least overlap, above 0 and at most 1.
    Returns:
        ``num_lesions``, ``num_found`` (of them), ``num_parts`` (of the map); ``num_parts - num_found`` are false.
    Raises:
        BenchError: An input is not a boolean (H, W) array, the shapes differ, or ``min_iou`` is out of range.
    Example:
        >>> mask = np.zeros((64, 64), dtype=bool)
        >>> mask[8:18, 8:18] = mask[40:50, 40:50] = True
        >>> pred = mask.copy()
        >>> pred[40:50, 40:50] = False  # one lesion is missed
        >>> count_lesions(pred, mask)
        {'num_lesions': 2, 'num_found': 1, 'num_parts': 1}
    """
    pred = check_mask(pred)
    mask = check_mask(mask, pred.shape)
    check_overlap(min_iou)
    (lesions, lesion_px), (parts, part_px) = _parts_of(mask), _parts_of(pred)
    num_lesions, num_parts = (int(np.count_nonzero(sizes)) for sizes in (lesion_px, part_px))
    found = len(_matched(lesions, parts, lesion_px, part_px, min_iou)) if num_lesions and num_parts else 0
    return {"num_lesions": num_lesions, "num_found": found, "num_parts": num_parts}


def check_overlap(min_iou: float) -> None:
    """Refuse an overlap that is none.

    Raises:
        BenchError: It is not above 0 and at most 1.
    """
    if not 0 < min_iou <= 1:
        raise BenchError(f"overlap {min_iou!r}: expected an IoU above 0 and at most 1, such as {MIN_IOU}")


def lesion_counts(levels: Levels, mask: Mask, *, min_iou: float = MIN_IOU) -> dict[str, float]:
    """Return ``count_lesions`` of an 8-bit map at p >= 0.5 (level 128 and above), not stretched."""
    return dict(count_lesions(levels >= 128, mask, min_iou=min_iou))


def lesion_figures(rows: Mapping[str, NDArray[np.float64]]) -> dict[str, float | None]:
    """Return the measures of ``measures.LESIONS`` from the counts of a set's images; None where none can be taken.

    Beside them ``num_lesions`` and ``num_negative``, the images without a lesion.

    Args:
        rows: Arrays of equal length by name, as ``count_lesions`` names them.
    """
    lesions, found, parts = (np.asarray(rows[key]) for key in ("num_lesions", "num_found", "num_parts"))
    negative = parts[lesions == 0]
    alarm = _share(int(np.count_nonzero(negative)), len(negative))
    return {
        "num_lesions": float(lesions.sum()),
        "num_negative": float(len(negative)),
        "lesion_sensitivity": _share(found.sum(), lesions.sum()),
        "lesion_precision": _share(found.sum(), parts.sum()),
        "image_fpr": alarm,
        "image_specificity": None if alarm is None else 1 - alarm,
        "false_parts": _share(negative.sum(), len(negative)),
    }


def _share(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


def _parts_of(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the number of each pixel's component, and the components' sizes by number; 0 for background and specks."""
    from scipy.ndimage import label

    numbers, _ = label(mask, structure=_EIGHT)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    sizes[sizes < LEAST_SHARE * mask.size] = 0
    return numbers, sizes


def _matched(
    lesions: NDArray[np.int32],
    parts: NDArray[np.int32],
    lesion_px: NDArray[np.int64],
    part_px: NDArray[np.int64],
    min_iou: float,
) -> dict[int, int]:
    """Return the part that finds each lesion found, in order of their IoU, greatest first; equal ones by number."""
    both = np.flatnonzero(lesions.astype(bool) & parts.astype(bool))
    codes = lesions.flat[both].astype(np.int64) * len(part_px) + parts.flat[both]
    codes, shared = np.unique(codes, return_counts=True)
    pairs = np.stack(np.divmod(codes, len(part_px)))
    kept = (lesion_px[pairs[0]] > 0) & (part_px[pairs[1]] > 0)
    pairs, shared = pairs[:, kept], shared[kept]
    iou = shared / (lesion_px[pairs[0]] + part_px[pairs[1]] - shared)
    taken: dict[int, int] = {}
    for i in np.argsort(-iou, kind="stable")[: np.count_nonzero(iou >= min_iou)]:
        lesion, part = int(pairs[0, i]), int(pairs[1, i])
        if lesion not in taken and part not in taken.values():
            taken[lesion] = part
    return taken
