"""Find folders under any spelling, and pair images with masks by stem."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.files.time_limit import in_time
from benchmark.data.listing.items import natural_key
from benchmark.errors import BenchError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
ACCEPTED = "JPEG, PNG, BMP or TIFF (.jpg, .jpeg, .png, .bmp, .tif, .tiff)"
MASK_SUFFIXES = ("mask", "segmentation", "seg", "gt", "groundtruth", "label")
"""Words that may follow the image's name in a mask's name: ``f01_mask.png``, ``f01-GT.png``."""

_MASK_SUFFIX = re.compile(rf"[_-](?:{'|'.join(MASK_SUFFIXES)})$", re.IGNORECASE)
_JUNK = frozenset({"__MACOSX"})  # extra folder in zip files made on macOS
_BUNDLE_PARENTS = frozenset({"testdataset", "traindataset"})


@dataclass(frozen=True)
class Pair:
    """An image file and its mask file under one id."""

    id: str
    image: Path
    mask: Path
    part: str = ""


def same_name(name: str) -> str:
    """Normalise a folder name: letters and digits, lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def subfolder(base: Path, path: str) -> Path | None:
    """Return the folder ``path`` below ``base`` ("" is ``base``), ignoring case, spaces and hyphens."""
    folder = base
    for step in filter(None, path.split("/")):
        wanted = same_name(step)
        found = sorted(p for p in folders_in(folder) if same_name(p.name) == wanted)
        if not found:
            return None
        folder = found[0]
    return folder


def homes(root: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """Yield the folders below ``root`` that may hold a dataset called by one of ``names``.

    Looked at: ``root`` itself when it has the name (or the name is ""), its children, a child of the same name
    inside (archives often unpack so), and its grandchildren.
    """
    wanted = {same_name(name) for name in names}
    if "" in wanted or same_name(root.name) in wanted:
        yield root
    children = folders_in(root)
    for child in children:
        if same_name(child.name) in wanted:
            yield child
            yield from (p for p in folders_in(child) if same_name(p.name) in wanted)
        elif same_name(child.name) not in _BUNDLE_PARENTS:
            yield from (p for p in folders_in(child) if same_name(p.name) in wanted)


def folders_in(folder: Path) -> list[Path]:
    """Return the visible folders inside ``folder``, sorted by name."""
    try:
        names = in_time(_folder_names, folder)
    except OSError as error:
        raise BenchError(f"cannot read folder {folder}: {error.strerror}; check its path and permissions") from error
    return [folder / name for name in sorted(names)]


def _folder_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [e.name for e in entries if not e.name.startswith(".") and e.name not in _JUNK and _holds(e.is_dir)]


def _holds(kind: Callable[[], bool]) -> bool:
    """Return whether an entry is of a kind; a link to itself is of none."""
    try:
        return kind()
    except OSError:
        return False


def what_lies_in(folder: Path) -> str:
    """Describe a folder's content for a message: folders, and files by suffix."""
    folders = [f"{path.name}/" for path in folders_in(folder)]
    counts = Counter(path.suffix.lower() or path.name for path in folder.iterdir() if path.is_file())
    files = [f"{number} {suffix}" for suffix, number in counts.most_common()]
    return shown([*folders, *files]) or "nothing"


def image_files(folder: Path) -> list[Path]:
    """Return the image files directly inside ``folder``, in natural order; hidden files are strays."""
    try:
        names = in_time(_image_names, folder)
    except OSError as error:
        raise BenchError(f"cannot read folder {folder}: {error.strerror}; check its path and permissions") from error
    return [folder / name for name in sorted(names, key=natural_key)]


def _image_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = {e.name: _holds(e.is_file) or refuse_pipe(Path(e.path)) for e in entries if looks_like_image(e.name)}
    return [name for name, is_file in names.items() if is_file]


def looks_like_image(name: str) -> bool:
    """Return whether a file is an image by its suffix; hidden files are not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (hot loop)


def refuse_pipe(path: Path) -> bool:
    """Return whether a path is a file.

    Raises:
        BenchError: It is a named pipe, whose reader would wait for a writer.
    """
    if path.is_fifo():
        raise BenchError(f"cannot read {path}: it is a named pipe, expected an image file; remove it")
    return False


def composed(name: str) -> str:
    """Return a name with composed accents: macOS stores letter and accent apart, others as one character."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def without_mask_suffix(masks: dict[str, Path], images: Collection[str]) -> dict[str, Path]:
    """Return masks by the id of their image, where they are named as the image with a suffix word.

    Masks whose name is an image's keep it; the others lose one of ``MASK_SUFFIXES`` where that gives an image's name.
    """
    found: dict[str, Path] = {}
    for name, path in masks.items():
        short = _MASK_SUFFIX.sub("", name)
        key = short if name not in images and short in images else name
        first = found.setdefault(key, path)
        if first is not path:
            raise BenchError(f"{path} and {first.name} are both masks of {key!r}: remove one of the two")
    return found


def shown(names: Sequence[str], most: int = 5) -> str:
    """Return the first few names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def by_id(folder: Path, pattern: str, *, preferred: str = "") -> dict[str, Path]:
    """Return the image files of ``folder`` whose stem matches ``pattern``, by its group ``id``.

    Args:
        folder: Where to look; not below.
        pattern: Regular expression with a group ``id``; other files are strays.
        preferred: Suffix of the file to take where there are several of one id; "" refuses them.
    Raises:
        BenchError: If two files claim one id.
    """
    stems = re.compile(pattern, re.DOTALL)  # a name with a line end is reported, not ignored
    found: dict[str, Path] = {}
    files = image_files(folder)
    twice = {path.stem for path in files if path.suffix.lower() == preferred}
    for path in files:
        if path.stem in twice and path.suffix.lower() != preferred:
            continue
        match = stems.fullmatch(path.stem)
        if match is None:
            continue
        first = found.setdefault(composed(match["id"]), path)
        if first is not path:
            raise BenchError(f"{path} and {first.name} have the same id {match['id']!r}: remove one of the two")
    return found


def pair_by_id(images: dict[str, Path], masks: dict[str, Path], part: str = "") -> list[Pair]:
    """Join images and masks of the same id.

    Raises:
        BenchError: Naming the first images without a mask, or masks without an image.
    """
    for left, right, what, other in ((images, masks, "image", "mask"), (masks, images, "mask", "image")):
        orphans = sorted(left.keys() - right.keys(), key=natural_key)
        if orphans:
            spare = sorted(right.keys() - left.keys(), key=natural_key)
            raise BenchError(_orphan_message([left[i] for i in orphans], what, other, right, [right[i] for i in spare]))
    return [Pair(key, images[key], masks[key], part) for key in sorted(images, key=natural_key)]


def _orphan_message(files: list[Path], what: str, other: str, right: dict[str, Path], spare: list[Path]) -> str:
    place = f" in {next(iter(right.values())).parent}" if right else ""
    many = "s" if len(files) > 1 else ""
    remedy = f"add the {other}{many}{place} or remove the {what}{many}"
    if spare:
        names = f"{other}s without {what} are called {shown([f.name for f in spare], 3)}"
        remedy = f"{names}; {remedy}, or define in a manifest how names pair (image_id, mask_id)"
    return f"{what}{many} without {other} in {files[0].parent}: {shown([f.name for f in files])}; {remedy}"
