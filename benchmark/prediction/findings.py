"""What a map shows: its connected parts above a threshold, measured within the visible field of the endoscope."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.prediction.outputs import cut

Pixels = NDArray[np.uint8]
Field = NDArray[np.bool_]
DARK = 20
"""A pixel whose three channels do not exceed this lies outside the visible field."""
_EIGHT = np.ones((3, 3), dtype=np.int8)
_THIRDS = (("upper left", "upper", "upper right"), ("left", "centre", "right"), ("lower left", "lower", "lower right"))


@dataclass(frozen=True)
class Finding:
    """One 8-connected part of a mask.

    Attributes:
        number: From 1, the largest part first.
        area_px: Pixels.
        area_share: Its pixels within the field of view, as a share of the field, 0 to 1.
        box_px: Left, top, width, height of the bounding box.
        centre_px: Column and row of the centre of mass.
        position: The third of the picture, each way, that holds the centre, e.g. "upper left".
        mean_prob: Mean probability over the part, 0 to 1; not calibrated.
        max_prob: Its greatest probability.
    """

    number: int
    area_px: int
    area_share: float
    box_px: tuple[int, int, int, int]
    centre_px: tuple[float, float]
    position: str
    mean_prob: float
    max_prob: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def field_of_view(image: Pixels) -> Field:
    """The visible field of an endoscope's picture, (H, W) bool: what is brighter than the black frame, holes filled.

    Args:
        image: (H, W, 3) uint8 RGB.
    Returns:
        The largest connected bright region with its dark holes (a lumen belongs to the field); the whole picture where
        nothing is bright.
    """
    from scipy.ndimage import binary_fill_holes, label

    bright = (image[..., 0] > DARK) | (image[..., 1] > DARK) | (image[..., 2] > DARK)
    parts, count = label(bright, structure=_EIGHT)
    if not count:
        return np.ones(bright.shape, dtype=bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(binary_fill_holes(parts == sizes.argmax()), dtype=bool)


def find_parts(prob: Pixels, threshold: float, *, field: Field | None = None) -> list[Finding]:
    """Measure the connected parts of a map above a threshold, the largest first.

    Args:
        prob: (H, W) uint8, 255 x probability.
        threshold: In [0, 1]; a pixel belongs to a part where its probability is above.
        field: (H, W) bool, the field of view; the whole picture if None.
    """
    from scipy.ndimage import find_objects, label

    parts, count = label(cut(prob, threshold), structure=_EIGHT)
    field = np.ones(prob.shape, dtype=bool) if field is None else field
    measured = [_measure(prob, parts, field, number, box) for number, box in enumerate(find_objects(parts), 1)]
    assert len(measured) == count
    order = sorted(range(count), key=lambda i: (-measured[i]["area_px"], i))
    return [Finding(number=rank, **measured[i]) for rank, i in enumerate(order, 1)]


def _measure(
    prob: Pixels, parts: NDArray[np.int32], field: Field, number: int, box: tuple[slice, slice]
) -> dict[str, Any]:
    rows, columns = box
    inside = parts[box] == number
    y, x = (place.mean() for place in inside.nonzero())
    centre = (float(columns.start + x), float(rows.start + y))
    values = prob[box][inside]
    return {
        "area_px": int(inside.sum()),
        "area_share": round(int((inside & field[box]).sum()) / max(1, int(field.sum())), 6),
        "box_px": (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start),
        "centre_px": (round(centre[0], 1), round(centre[1], 1)),
        "position": _position(centre, prob.shape),
        "mean_prob": round(float(values.mean()) / 255, 4),
        "max_prob": round(int(values.max()) / 255, 4),
    }


def _position(centre: tuple[float, float], shape: tuple[int, ...]) -> str:
    column, row = (min(2, int(3 * (place + 0.5) / side)) for place, side in zip(centre, shape[::-1], strict=True))
    return _THIRDS[row][column]
