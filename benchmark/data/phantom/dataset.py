"""Phantom: colonoscopy-like images drawn by formula, in four domains that mirror the four test sets.

No pixel comes from a patient. The domains differ in colour, light, sharpness, polyp size and contrast, so that a
network trained on three of them loses accuracy on the fourth (``phantom-etis``: small, pale polyps, another camera).
Every domain consists of sequences of four to six frames of the same polyps, moved and with new lighting.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from benchmark.data.files.generated import build_folder, default_cache_dir
from benchmark.data.phantom.domains import DOMAINS, Domain, sequence_lengths

VERSION = 3
"""Raise it whenever a drawn pixel changes: it is part of the folder's name."""


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


def _draw_sequence(folder: Path, name: str, domain: Domain, number: int, frames: int) -> None:
    from PIL import Image

    from benchmark.data.phantom.draw import draw_sequence

    for inside in ("images", "masks"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
    for index, (image, mask) in enumerate(draw_sequence(domain, f"{name}/s{number:02d}", frames), 1):
        file = f"s{number:02d}-f{index}.png"
        Image.fromarray(image).save(folder / "images" / file, compress_level=1)
        Image.fromarray(mask).save(folder / "masks" / file, compress_level=1)
