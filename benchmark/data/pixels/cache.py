"""Decoded pixels at training size in memory-mapped files, built once and named by their content."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_args

import numpy as np

from benchmark.data.files.decode import describe
from benchmark.data.files.generated import build_folder, default_cache_dir
from benchmark.data.files.hashing import content_hash, fingerprint
from benchmark.data.files.read_item import read_image, read_mask_grey
from benchmark.data.listing.items import Item
from benchmark.data.pixels.resize import MaskMode, Resize, resize_image, resize_mask
from benchmark.errors import BenchError
from benchmark.robustness.denoising.classical import FrontEnd, get_front_end

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

__all__ = ["PixelCache", "content_hash", "fingerprint", "load_pair", "open_cache"]

VERSION = 3
"""Raise it whenever the same files would give other pixels: it is part of the key."""

THREADS = 2
_AHEAD = 8  # decoded pairs waiting to be written: bounds the memory

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PixelCache:
    """Images and masks of some items, in their order, read-only.

    Attributes:
        images: (N, S, S, 3) uint8 RGB.
        masks: (N, S, S) uint8; 0 and 255, or grey for mask mode "soft".
        folder: Where the two files lie.
        reused: True where nothing had to be decoded.
    """

    images: Pixels
    masks: Pixels
    folder: Path
    reused: bool

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.images)


def load_pair(item: Item) -> tuple[Pixels, Pixels]:
    """Decode an item at its own size: (H, W, 3) RGB and (H, W) grey, both uint8.

    Raises:
        BenchError: If a file cannot be read or the two sizes differ.
    """
    image, mask = read_image(item), read_mask_grey(item)
    if image.shape[:2] != mask.shape:
        (ih, iw), (mh, mw) = image.shape[:2], mask.shape
        raise BenchError(
            f"mask {item.mask_path} is {mw}x{mh} and its image {item.image_path} {iw}x{ih}: expected equal sizes; "
            f"restore the original pair{_turned(item)}"
        )
    return image, mask


def _turned(item: Item) -> str:
    """Return a hint where an orientation tag says why the sizes differ."""
    kinds = {path: describe(path) for path in (item.image_path, item.mask_path)}
    turned = [f"{path.name} is {kind}" for path, kind in kinds.items() if "orientation" in kind]
    return f" ({'; '.join(turned)}: save it upright, without the tag)" if turned else ""


def open_cache(
    items: Sequence[Item],
    *,
    size: int,
    mask_mode: MaskMode = "binary",
    resize: Resize = "antialias",
    denoise: str = "none",
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> PixelCache:
    """Return the items' pixels at ``size``, decoding them only if that was not done before.

    Args:
        items: What to hold; the order is kept.
        size: Side of the square images in pixels.
        mask_mode: How masks are reduced, one of ``MaskMode``.
        resize: "antialias" or "linear".
        denoise: Front end for every image at its own size.
        cache_dir: Folder for the files; None for the user's cache folder.
        progress: Called with (done, total) while building.
    Raises:
        BenchError: For no items, an unreadable file, unequal sizes, or no space; nothing half-written stays.
    """
    _check(items, size, mask_mode, resize)
    front_end = get_front_end(denoise)
    key = _key(items, size, mask_mode, resize, front_end)
    final = (cache_dir or default_cache_dir()) / "pixels" / key
    shape = (len(items), size, size)
    found = _open(final, shape, reused=True)
    if found is not None:
        return found

    def build(folder: Path) -> None:
        _write(folder, items, size, mask_mode, resize, front_end, progress)

    build_folder(final, build, needed_bytes=4 * len(items) * size * size)
    made = _open(final, shape, reused=False)
    if made is None:
        raise BenchError(f"cache folder {final} is damaged: remove it and start again")
    return made


def _check(items: Sequence[Item], size: int, mask_mode: str, resize: str) -> None:
    if not items:
        raise BenchError("no images to cache: expected at least one; check the datasets and the split")
    if size < 1:
        raise BenchError(f"image size {size}: expected a positive number of pixels")
    for what, value, choices in (("mask mode", mask_mode, get_args(MaskMode)), ("resize", resize, get_args(Resize))):
        if value not in choices:
            raise BenchError(f"{what} {value!r}: expected one of {', '.join(choices)}")


def _key(items: Sequence[Item], size: int, mask_mode: str, resize: str, front_end: FrontEnd) -> str:
    behind = "" if front_end.name == "none" else f" {front_end.name} {front_end.hash}"
    lines = [f"v{VERSION} {size} {mask_mode} {resize}{behind}", *map(content_hash, items)]
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _open(folder: Path, shape: tuple[int, int, int], *, reused: bool) -> PixelCache | None:
    """Map both files, or return None where they are absent or not what the key promises."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        masks = np.load(folder / "masks.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):  # an empty file is an EOFError
        _set_aside(folder)
        return None
    if images.shape != (*shape, 3) or masks.shape != shape:
        _set_aside(folder)
        return None
    return PixelCache(images, masks, folder, reused)


def _set_aside(folder: Path) -> None:
    """Remove a damaged cache, so that it is built again."""
    import shutil

    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)


def _write(
    folder: Path,
    items: Sequence[Item],
    size: int,
    mask_mode: MaskMode,
    resize: Resize,
    front_end: FrontEnd,
    progress: Progress | None,
) -> None:
    """Write both arrays front to back: plain writes report a full disk, stores to a memory map would crash."""
    with (folder / "images.npy").open("wb") as images, (folder / "masks.npy").open("wb") as masks:
        _header(images, (len(items), size, size, 3))
        _header(masks, (len(items), size, size))
        for done, (image, mask) in enumerate(_resized(items, size, mask_mode, resize, front_end), 1):
            images.write(image.tobytes())
            masks.write(mask.tobytes())
            if progress is not None:
                progress(done, len(items))


def _header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _resized(
    items: Sequence[Item], size: int, mask_mode: MaskMode, resize: Resize, front_end: FrontEnd
) -> Iterator[tuple[Pixels, Pixels]]:
    """Decode and resize in a few threads, in order, never more than a few pairs ahead."""

    def one(item: Item) -> tuple[Pixels, Pixels]:
        image, mask = load_pair(item)
        image = image if front_end.name == "none" else front_end(image)
        return resize_image(image, size, resize), resize_mask(mask, size, mask_mode, resize)

    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[tuple[Pixels, Pixels]]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(one, item))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
