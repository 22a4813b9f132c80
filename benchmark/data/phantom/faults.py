"""Phantom-faulty: small synthetic datasets with one fault each, of the kinds that real ones have; to test and to teach.

``phantom-faulty`` stands for all of them; each can be named alone, for example ``phantom-faulty-inverted``. They are
part of no other group and never trained on unasked. ``bench data check phantom-faulty`` and ``bench audit data
phantom-faulty`` name every fault; ``phantom-faulty-none`` has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.files.generated import build_folder, default_cache_dir
from benchmark.data.phantom.dataset import one_blas_thread
from benchmark.data.phantom.domains import DOMAINS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

VERSION = 2
"""Raise it whenever a planted file changes: it is part of the folder's name."""

NUM_IMAGES = 4
PREFIX = "phantom-faulty-"


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        title: In a few words.
        plant: Given the dataset's folder with four sound pairs ``1.png`` to ``4.png``, spoils it.
        shows: Regular expressions that the reports of ``bench data check`` and ``bench audit data`` match, and those
            of a sound dataset do not.
    """

    title: str
    plant: Callable[[Path], None]
    shows: tuple[str, ...]


def materialise_faulty(cache_dir: Path | None = None) -> Path:
    """Draw the faulty datasets, once, and return their root, laid out ``<name>/{images,masks}``.

    Raises:
        BenchError: If the folder cannot be written or the disk is full.
    """
    return build_folder((cache_dir or default_cache_dir()) / f"phantom-faulty-v{VERSION}", _draw, needed_bytes=30 << 20)


def _draw(root: Path) -> None:
    with one_blas_thread():
        _draw_each(root)


def _draw_each(root: Path) -> None:
    from benchmark.data.phantom.draw import draw_sequence

    domain = DOMAINS["phantom-endoscene"]
    for name, fault in FAULTS.items():
        for number in range(1, NUM_IMAGES + 1):
            image, mask = next(draw_sequence(domain, f"{name}/s{number}", 1))
            _save(root / name / "images" / f"{number}.png", image)
            _save(root / name / "masks" / f"{number}.png", mask)
        fault.plant(root / name)


def _save(path: Path, pixels: NDArray) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)


def _load(path: Path) -> Pixels:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def _on_masks(change: Callable[[Pixels], NDArray], *ids: int) -> Callable[[Path], None]:
    """Return a fault that rewrites the masks of ``ids``."""

    def plant(folder: Path) -> None:
        for number in ids:
            path = folder / "masks" / f"{number}.png"
            _save(path, change(_load(path)))

    return plant


def _soft(mask: Pixels) -> Pixels:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(mask.astype(np.float32), 2.0).astype(np.uint8)


def _coloured(mask: Pixels) -> Pixels:
    return np.stack([mask, np.zeros_like(mask), np.zeros_like(mask)], axis=2)


def _alpha(mask: Pixels) -> Pixels:
    return np.stack([np.zeros_like(mask)] * 3 + [mask], axis=2)


def _swap(folder: Path) -> None:
    (folder / "images").rename(folder / "aside")
    (folder / "masks").rename(folder / "images")
    (folder / "aside").rename(folder / "masks")


def _lose_mask(folder: Path) -> None:
    (folder / "masks" / "2.png").unlink()


def _lose_image(folder: Path) -> None:
    (folder / "images" / "2.png").unlink()


def _strays(folder: Path) -> None:
    (folder / "images" / "Thumbs.db").write_bytes(b"thumbnails")
    (folder / "masks" / ".DS_Store").write_bytes(b"folder view")


def _truncate(folder: Path) -> None:
    path = folder / "images" / "3.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty_file(folder: Path) -> None:
    (folder / "images" / "3.png").write_bytes(b"")


def _two_files(folder: Path) -> None:
    from PIL import Image

    with Image.open(folder / "images" / "1.png") as image:
        image.convert("RGB").save(folder / "images" / "1.jpg")


def _repeat(folder: Path) -> None:
    """A fifth pair: the pixels of the first image, written again, with its mask."""
    _save(folder / "images" / "5.png", _load(folder / "images" / "1.png"))
    _save(folder / "masks" / "5.png", _load(folder / "masks" / "1.png"))


def _contradict(folder: Path) -> None:
    """As ``_repeat``, with a mask that lies elsewhere."""
    _repeat(folder)
    path = folder / "masks" / "5.png"
    _save(path, np.roll(_load(path), 12, axis=1))


def _nearly_repeat(folder: Path) -> None:
    """A fifth pair: the first one mirrored and re-encoded."""
    from PIL import Image

    Image.fromarray(_load(folder / "images" / "1.png")[:, ::-1]).save(folder / "images" / "5.jpg", quality=70)
    _save(folder / "masks" / "5.png", _load(folder / "masks" / "1.png")[:, ::-1])


_TWICE = r"^exact +[1-9]"

FAULTS: dict[str, Fault] = {
    PREFIX + name: fault
    for name, fault in {
        "none": Fault("sound", lambda _: None, ()),
        "soft-masks": Fault("masks with grey edges", _on_masks(_soft, 1, 2), (r"grey masks +[1-9]",)),
        "labels": Fault(
            "masks hold labels 0 and 1",
            _on_masks(lambda mask: (mask > 0).astype(np.uint8), 1, 2, 3, 4),
            (r"its greatest value is 1",),
        ),
        "sixteen-bit": Fault(
            "masks of 16 bits",
            _on_masks(lambda mask: mask.astype(np.uint16) * np.uint16(257), 1, 2, 3, 4),
            (r"mask files .*I;16",),
        ),
        "inverted": Fault(
            "masks with black polyps on white", _on_masks(lambda mask: 255 - mask, 1, 2, 3, 4), (r"look inverted",)
        ),
        "coloured-mask": Fault("a mask in colour", _on_masks(_coloured, 2), (r"is coloured",)),
        "alpha-mask": Fault("a mask in the alpha channel", _on_masks(_alpha, 2), (r"in the alpha channel only",)),
        "empty-mask": Fault("a mask without foreground", _on_masks(np.zeros_like, 2), (r"empty masks +[1-9]",)),
        "wrong-size": Fault(
            "a mask of another size than its image",
            _on_masks(lambda mask: mask[::2, ::2], 2),
            (r"expected equal sizes",),
        ),
        "swapped": Fault("folders of images and masks exchanged", _swap, (r"look swapped",)),
        "missing-mask": Fault("an image without mask", _lose_mask, (r"image without mask",)),
        "missing-image": Fault("a mask without image", _lose_image, (r"mask without image",)),
        "two-files": Fault("two files for one id", _two_files, (r"have the same id",)),
        "strays": Fault("files that belong to nothing", _strays, (r"strays +(?!none)\S",)),
        "truncated": Fault("an image cut short", _truncate, (r"cannot read image .*truncated",)),
        "empty-file": Fault("an image of 0 bytes", _empty_file, (r"it is empty \(0 bytes\)",)),
        "duplicate": Fault("an image twice", _repeat, (_TWICE,)),
        "conflict": Fault("an image twice, with two masks", _contradict, (_TWICE, r"^masks +[1-9]")),
        "near-duplicate": Fault("an image once more, mirrored and re-encoded", _nearly_repeat, (r"^near +[1-9]",)),
    }.items()
}
"""Every faulty dataset by name."""
