"""Phantom: colonoscopy-like images drawn by formula, in four domains that mirror the four test sets.

No pixel comes from a patient. The domains differ in colour, light, sharpness, polyp size and contrast, so that a
network trained on three of them loses accuracy on the fourth (``phantom-etis``: small, pale polyps, another camera).
Every domain consists of sequences of four to six frames of the same polyps, moved and lit anew.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.files.generated import build_folder, default_cache_dir

VERSION = 3
"""Raise it whenever a drawn pixel changes: it is part of the folder's name."""

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


def materialise_phantom(cache_dir: Path | None = None) -> Path:
    """Draw all phantom images as PNG files, once, and return their root.

    The result is laid out as ``<domain>/{images,masks}/s<sequence>-f<frame>.png``.

    Args:
        cache_dir: Where to put them; None for the user's cache folder.
    Raises:
        BenchError: If the folder cannot be written or the disk is full.
    """
    base = (cache_dir or default_cache_dir()) / f"phantom-v{VERSION}"
    return build_folder(base, _draw_all, needed_bytes=100 << 20)


def _draw_all(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with one_blas_thread(), ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(_draw_sequence, folder / name, name, domain, number, frames)
            for name, domain in DOMAINS.items()
            for number, frames in enumerate(sequence_lengths(domain.num_images), 1)
        ]
        for job in jobs:
            job.result()


def one_blas_thread() -> AbstractContextManager[object]:
    """Draw inside this: with more threads BLAS adds in another order, and a sum's last bit can be a pixel's."""
    import numpy  # noqa: F401 (what is not loaded yet is not limited)
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


def sequence_lengths(num_images: int) -> list[int]:
    """Split a number of images into sequences of 4, 5 and 6 frames (the last takes what is left)."""
    lengths: list[int] = []
    while sum(lengths) < num_images:
        lengths.append(min((5, 4, 6)[len(lengths) % 3], num_images - sum(lengths)))
    return lengths


def _draw_sequence(folder: Path, name: str, domain: Domain, number: int, frames: int) -> None:
    from PIL import Image

    from benchmark.data.phantom.draw import draw_sequence

    for inside in ("images", "masks"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
    for index, (image, mask) in enumerate(draw_sequence(domain, f"{name}/s{number:02d}", frames), 1):
        file = f"s{number:02d}-f{index}.png"
        Image.fromarray(image).save(folder / "images" / file, compress_level=1)
        Image.fromarray(mask).save(folder / "masks" / file, compress_level=1)
