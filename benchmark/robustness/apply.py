"""Denoise images on disk by a front end."""

from __future__ import annotations

import io as bytes_io
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.prediction.sources import find_sources, read_upright
from benchmark.robustness.front_ends import get_denoiser
from benchmark.store import io


def denoise_files(
    inputs: Sequence[Path], out: Path, denoiser: str, *, progress: Callable[[int, int], None] = lambda *_: None
) -> list[Path]:
    """Denoise images and folders of images; each PNG file is complete or absent.

    Args:
        inputs: Images and folders.
        out: Folder of the PNG files; it may not be an input.
        denoiser: A front end by name, or ``FILE.pt`` of ``bench denoise train``.
        progress: Called with images done and in all.
    Returns:
        The files written.
    Raises:
        BenchError: An unknown denoiser, an input that is not an image, or a folder that cannot be written.
    """
    from PIL import Image

    front_end = get_denoiser(denoiser)
    sources = find_sources(inputs)
    video = next((source for source in sources if source.is_video), None)
    if video is not None:
        raise BenchError(f"input {video.path}: a video; bench denoise takes images")
    if any(out.resolve() in (path.resolve(), *path.resolve().parents) for path in inputs):
        raise BenchError(f"--out {out}: holds the inputs; choose another folder")
    written = []
    for done, source in enumerate(sources, start=1):
        try:
            image = front_end(read_upright(source.path))
        except BenchError as error:
            raise BenchError(f"input {source.path}: {error}") from None
        stream = bytes_io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        written.append(out / f"{source.name}.png")
        io.write_bytes(written[-1], stream.getvalue())
        progress(done, len(sources))
    return written
