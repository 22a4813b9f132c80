"""The four phantom domains: how the images of each look."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[float, float, float]
Range = tuple[float, float]


@dataclass(frozen=True)
class Domain:
    """How the images of one phantom domain look.

    Attributes:
        title: Name printed in tables.
        num_images: Frames drawn.
        height: Image height in pixels.
        width: Image width in pixels.
        tissue: Mucosa colour, RGB in [0, 1].
        polyp_tint: Added to the tissue colour inside a polyp, RGB, at contrast 1.
        contrast: Range of the polyp's contrast factor.
        radius: Range of the polyp's mean radius, as a share of the height.
        light: Range of overall brightness.
        softness: Width of the optical blur in pixels.
        noise: Standard deviation of the sensor noise, of full scale.
        highlights: Mean number of specular highlights.
        instrument: Probability that an instrument is in view.
        frame: Shape of the visible field: "octagon", "circle" or "full".
        overlay: True where the corner shows a coloured position box, as Kvasir's images do.
        interlaced: True where odd lines lag behind, as in older video.
    """

    title: str
    num_images: int
    height: int
    width: int
    tissue: RGB
    polyp_tint: RGB
    contrast: Range
    radius: Range
    light: Range
    softness: float
    noise: float
    highlights: float
    instrument: float
    frame: str
    overlay: bool = False
    interlaced: bool = False


DOMAINS: dict[str, Domain] = {
    "phantom-kvasir": Domain(
        "Phantom-Kvasir (synthetic)", 100, 240, 280, (0.72, 0.36, 0.26), (0.11, 0.04, 0.06),
        (0.8, 1.6), (0.12, 0.30), (0.8, 1.15), 0.8, 0.012, 10, 0.20, "octagon", overlay=True,
    ),
    "phantom-etis": Domain(
        "Phantom-ETIS (synthetic)", 40, 240, 304, (0.67, 0.36, 0.28), (0.11, 0.05, 0.04),
        (0.7, 1.3), (0.08, 0.20), (0.7, 1.0), 1.1, 0.018, 16, 0.05, "circle",
    ),
    "phantom-colondb": Domain(
        "Phantom-ColonDB (synthetic)", 60, 224, 256, (0.60, 0.30, 0.20), (0.11, 0.05, 0.05),
        (0.7, 1.4), (0.09, 0.24), (0.65, 1.05), 1.1, 0.018, 12, 0.05, "octagon", interlaced=True,
    ),
    "phantom-endoscene": Domain(
        "Phantom-EndoScene (synthetic)", 80, 240, 320, (0.70, 0.33, 0.22), (0.11, 0.05, 0.05),
        (0.8, 1.6), (0.10, 0.26), (0.8, 1.2), 0.9, 0.014, 8, 0.10, "full",
    ),
}  # fmt: skip
"""The four domains, in the order of the paper's tables."""


def sequence_lengths(num_images: int) -> list[int]:
    """Split a number of images into sequences of 4, 5 and 6 frames (the last takes what is left)."""
    lengths: list[int] = []
    while sum(lengths) < num_images:
        lengths.append(min((5, 4, 6)[len(lengths) % 3], num_images - sum(lengths)))
    return lengths
