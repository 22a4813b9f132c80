"""The images and videos to predict, and the names of their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.decode import decode_image, image_shape, open_picture
from benchmark.errors import BenchError

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})


@dataclass(frozen=True)
class Source:
    """One image or video.

    Attributes:
        path: The file.
        name: Name of its outputs, below their folders and without suffix; no two sources share one.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


def find_sources(inputs: Sequence[Path]) -> list[Source]:
    """List images and videos: files as named, folders with everything in and below them.

    Outputs of a file are named by its stem, those of a folder's file ``<folder>/<path in it>``; a name already in use
    gets a number, so nothing is overwritten.

    Raises:
        BenchError: No such file, a file of another kind, or a folder without any.
    """
    found: dict[Path, Source] = {}
    taken: set[str] = set()
    for given in inputs:
        for path, name in _below(given):
            if path.resolve() in found:
                continue
            unique, number = name, 2
            while unique.lower() in taken:  # some file systems ignore case
                unique, number = f"{name}-{number}", number + 1
            taken.add(unique.lower())
            found[path.resolve()] = Source(path, unique)
    return list(found.values())


def _below(given: Path) -> Iterator[tuple[Path, str]]:
    if given.is_file():
        if given.suffix.lower() not in IMAGES | VIDEOS:
            kinds = ", ".join(sorted(IMAGES | VIDEOS))
            raise BenchError(f"input {given}: neither image nor video by its suffix; expected one of {kinds}")
        yield given, given.stem
        return
    if not given.is_dir():
        raise BenchError(f"input {given}: not found; expected an image, a video or a folder")
    files = sorted(p for p in given.rglob("*") if p.suffix.lower() in IMAGES | VIDEOS and p.is_file())
    files = [p for p in files if not any(part.startswith(".") for part in p.relative_to(given).parts)]
    if not files:
        raise BenchError(f"input {given}: a folder without images or videos")
    for path in files:
        yield path, str(Path(given.resolve().name) / path.relative_to(given).with_suffix(""))


def check_out(out: Path, inputs: Sequence[Path], sources: Sequence[Source]) -> None:
    """Refuse an output folder that could overwrite inputs or become an input next time.

    Raises:
        BenchError: ``out`` is a folder of inputs, is inside one, or contains inputs.
    """
    target = out.resolve()
    for given in inputs:
        home = given.resolve() if given.is_dir() else given.resolve().parent
        inside = target == home or (given.is_dir() and target.is_relative_to(home))
        if inside or any(source.path.resolve().is_relative_to(target) for source in sources):
            raise BenchError(f"--out {out}: is among the inputs ({given}); choose another folder")


MAX_PREDICTED = 40_000_000
"""Pixels of an image; a frame of 8K video has 33 million. What is made of it takes some 12 bytes of memory for each."""


def read_upright(path: Path) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3) uint8 RGB, rotated by its EXIF tag: as a viewer shows it.

    Grey becomes three equal channels, alpha is dropped, sixteen bits become eight.

    Raises:
        BenchError: It cannot be read.
    """
    height, width = image_shape(path)
    if height * width > MAX_PREDICTED:
        raise BenchError(
            f"image {path}: {width} x {height} px, more than the {MAX_PREDICTED // 10**6} million allowed; shrink it"
        )
    pixels = decode_image(path)
    return np.ascontiguousarray(_TURNS[orientation(path)](pixels))


def orientation(path: Path) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where there is none."""
    from PIL import ExifTags

    try:
        with open_picture(path) as image:
            tag = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a TIFF that only tifffile reads has no EXIF orientation
        return 1
    return tag if tag in _TURNS else 1


_TURNS = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: np.rot90(pixels, 1),
}
"""Transposition that turns stored pixels upright, by EXIF orientation."""
