"""Hashes of content: of files (bytes) and of pixels (decoded)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.files.decode import decode_image
from benchmark.data.files.time_limit import in_time
from benchmark.data.listing.items import MASK_THRESHOLD, Item
from benchmark.errors import BenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIGEST_BYTES = 16


def file_hash(path: Path) -> str:
    """Return blake2b over the bytes of a file, 32 hexadecimal digits."""
    try:
        state = in_time(Path.stat, path)
        return _file_hash(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}; check the file") from error


@lru_cache(maxsize=65536)
def _file_hash(path: Path, size: int, mtime_ns: int) -> str:
    return in_time(_digest_of_file, path)


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def content_hash(item: Item) -> str:
    """Return a hash over the bytes of image and mask, and over how they are read where that is unusual."""
    files = [file_hash(item.image_path), file_hash(item.mask_path)]
    plain = (item.channels, item.mask_threshold, item.mask_colours) == ("rgb", MASK_THRESHOLD, False)
    how = f"{item.channels} {item.mask_threshold}" + (" any colour" if item.mask_colours else "")
    return _digest(files if plain else [*files, how])


def fingerprint(items: Iterable[Item]) -> str:
    """Return a hash over ids and contents of a set of items, whatever their order."""
    return _digest(sorted(f"{item.dataset}/{item.id} {content_hash(item)}" for item in items))


def _digest(lines: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=DIGEST_BYTES).hexdigest()


def pixel_hash(path: Path) -> str:
    """Return a hash over an image's size and decoded RGB pixels: equal for equal pictures in any lossless format."""
    try:
        state = path.stat()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}; check the file") from error
    return _pixel_hash(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=65536)
def _pixel_hash(path: Path, size: int, mtime_ns: int) -> str:
    return hash_array(decode_image(path))


def hash_array(pixels: NDArray[np.uint8]) -> str:
    """Return the pixel hash of an image that is decoded already, (H, W, 3) uint8."""
    state = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=DIGEST_BYTES)
    state.update(pixels.data)
    return state.hexdigest()
