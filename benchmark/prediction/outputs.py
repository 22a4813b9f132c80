"""What is written about one image or frame: mask, overlay, and a row of figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.outline import draw_outline
from benchmark.store.io import write_bytes, write_text

Pixels = NDArray[np.uint8]
Kind = Literal["masks", "probs", "overlays"]
KINDS: tuple[Kind, ...] = ("masks", "probs", "overlays")
COLUMNS: tuple[str, ...] = ("input", "name", "frame", "time_s", "width_px", "height_px")
COLUMNS += ("area_px", "area_share", "num_components", "confidence", "max_prob", "error")
_OUTLINE = (240, 228, 66)  # Okabe and Ito's yellow: apart from red tissue
_FILL = 0.25


def cut(prob: Pixels, threshold: float) -> Pixels:
    """Mask of an 8-bit map: 255 where the probability is above ``threshold``, else 0."""
    table = np.where(np.arange(256) / 255 > threshold, 255, 0).astype(np.uint8)
    return table[prob]


def overlay(image: Pixels, mask: Pixels) -> Pixels:
    """Return the image (H, W, 3) with the mask tinted and outlined; the line's width grows with the image."""
    return draw_outline(image, mask > 0, _OUTLINE, width=max(1, round(max(mask.shape) / 300)), fill=_FILL)


def figures(prob: Pixels, mask: Pixels) -> dict[str, Any]:
    """Area, parts and confidence of one mask.

    Returns:
        ``area_px``; ``area_share`` of the image; ``num_components``, 8-connected; ``confidence``, the mean probability
        over the mask's pixels, None for an empty mask; ``max_prob``, the greatest probability of the image. None of
        the probabilities is calibrated.
    """
    from scipy.ndimage import label

    inside = mask > 0
    area = int(inside.sum())
    return {
        "width_px": mask.shape[1],
        "height_px": mask.shape[0],
        "area_px": area,
        "area_share": round(area / mask.size, 6),
        "num_components": int(label(inside, structure=np.ones((3, 3)))[1]),
        "confidence": round(float(prob[inside].mean()) / 255, 4) if area else None,
        "max_prob": round(int(prob.max()) / 255, 4),
    }


def picture(kind: Kind, image: Pixels, prob: Pixels, mask: Pixels) -> Pixels:
    """Return the picture of one kind of output."""
    return mask if kind == "masks" else prob if kind == "probs" else overlay(image, mask)


def write_png(path: Path, pixels: Pixels) -> None:
    """Write (H, W) or (H, W, 3) uint8 as PNG, whole or not at all."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    write_bytes(path, buffer.getvalue())


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the CSV."""
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=list(COLUMNS))
    for column in ("frame", "width_px", "height_px", "area_px", "num_components"):
        frame[column] = frame[column].astype("Int64")
    write_text(path, frame.to_csv(index=False))
