"""Measures on request, by family: what is kept of one image, and how a set's figures follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.calibration import BAND_SHARE, NUM_BINS, calibration_counts, calibration_figures
from benchmark.metrics.engine import score
from benchmark.metrics.lesions import LEAST_SHARE, MIN_IOU, check_overlap, lesion_counts, lesion_figures
from benchmark.metrics.levels import Levels, Mask
from benchmark.metrics.measures import BOUNDARY, CALIBRATION, LESIONS, PRECISION, Measure
from benchmark.metrics.protocol import Protocol

Rows = Mapping[str, NDArray[np.float64]]
TOLERANCE_PX = 2.0


@dataclass(frozen=True)
class Family:
    """Measures that belong together.

    Attributes:
        name: The option of ``bench tables``.
        title: In captions.
        measures: What is printed.
        rule: How a map is measured, in words, whole sentences.
        code: Hash of everything that decides the values; files of values carry it.
        of_image: (8-bit map, mask) -> the values kept of an image; None where ``scores.parquet`` holds them.
        of_images: Arrays of those values, one entry per image -> figures; None where undefined.
        counted: Numbers among the figures that are printed before the measures, and their heads.
        mask_threshold: A grey mask's pixel is foreground above it.
    """

    name: str
    title: str
    measures: tuple[Measure, ...]
    rule: str
    code: str
    of_image: Callable[[Levels, Mask], dict[str, float]] | None
    of_images: Callable[[Rows], dict[str, float | None]]
    counted: tuple[tuple[str, str], ...] = ()
    mask_threshold: int = 127


def lesions(min_iou: float = MIN_IOU) -> Family:
    """Return the measures of lesions and of images without a polyp.

    Args:
        min_iou: From which IoU on a part of the map finds a lesion.
    Raises:
        BenchError: It is not above 0 and at most 1.
    """
    check_overlap(min_iou)
    rule = (
        "Maps are cut at a probability of 0.5 or more, as they are, not stretched, whatever the protocol. Lesions and "
        f"the map's parts are 8-connected, from {LEAST_SHARE:.2%} of the image on; a part finds a lesion at an IoU of "
        f"at least {min_iou:g}, one to one, other parts are false. Image FPR: share of the images without a polyp with "
        "a false part"
    )
    of_image = partial(lesion_counts, min_iou=min_iou)
    counted = (("num_negative", "No polyp"), ("num_lesions", "Lesions"))
    return Family(
        "lesions", "Lesions", LESIONS, rule, _code(1, min_iou, LEAST_SHARE), of_image, lesion_figures, counted
    )


def calibration() -> Family:
    """Return Brier score and calibration error."""
    rule = (
        f"Probabilities are the map's 8-bit levels over 255, not stretched, whatever the protocol; the pixels of all "
        f"images are pooled; ECE over {NUM_BINS} bins of equal width. Band: within {BAND_SHARE:.0%} of the image's "
        "diagonal of the polyp's outline"
    )
    code = _code(1, NUM_BINS, BAND_SHARE)
    return Family("calibration", "Calibration", CALIBRATION, rule, code, calibration_counts, calibration_figures)


def boundary(protocol: Protocol) -> Family:
    """Return HD95 and surface Dice of maps at 0.5 under a protocol."""
    rule = (
        "Maps are cut at 0.5 as the protocol says; HD95 in px, NSD within "
        f"{TOLERANCE_PX:g} px; mean over images. Where only one of map and mask is empty, HD95 is the image's diagonal"
    )

    def of_image(levels: Levels, mask: Mask) -> dict[str, float]:
        found = score(levels, mask, protocol=protocol, boundary=True, tolerance_px=TOLERANCE_PX)
        if found.mask_empty and protocol.empty_mask == "skip":
            return {measure.column: float("nan") for measure in BOUNDARY}
        return {measure.column: float(getattr(found, measure.column)) for measure in BOUNDARY}

    return Family(
        name="boundary",
        title="Outlines",
        measures=BOUNDARY,
        rule=rule,
        code=_code(1, protocol.hash),
        of_image=of_image,
        of_images=partial(means, BOUNDARY),
        mask_threshold=protocol.mask_threshold,
    )


def precision() -> Family:
    """Return precision, recall and F2 at 0.5; they come from ``scores.parquet``, no map is read."""

    rule = "Maps are cut at 0.5 as the protocol says; mean over images; F2 = 5 P R / (4 P + R) of each image"
    return Family("precision", "Precision and recall", PRECISION, rule, "", None, precision_figures)


def means(measures: tuple[Measure, ...], rows: Rows) -> dict[str, float | None]:
    """Return the mean of each measure's column over the images that have a value."""
    figures: dict[str, float | None] = {}
    for measure in measures:
        values = np.asarray(rows[measure.column], dtype=float)
        values = values[~np.isnan(values)]
        figures[measure.key] = float(values.mean()) if len(values) else None
    return figures


def precision_figures(rows: Rows) -> dict[str, float | None]:
    """Return precision, recall, F2, Dice and IoU at 0.5 from the columns of ``scores.parquet``; 0/0 is 0."""
    p, r = (np.asarray(rows[f"{name}_half"], dtype=float) for name in ("precision", "recall"))
    f2 = np.divide(5 * p * r, 4 * p + r, out=np.zeros(len(p)), where=4 * p + r > 0)
    return means(PRECISION, {**rows, "f2_half": f2})


def _code(*settings: object) -> str:
    return hashlib.blake2b(json.dumps(settings).encode(), digest_size=4).hexdigest()
