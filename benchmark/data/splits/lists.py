"""Splits as plain lists of names: ``train.txt``, ``val.txt`` and ``test.txt`` in one folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from benchmark.data.listing.folders import IMAGE_SUFFIXES, composed, shown
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.untrusted import FormatFault, read_text

FILES: dict[str, tuple[str, ...]] = {
    "train": ("train.txt",),
    "val": ("val.txt", "valid.txt", "validation.txt"),
    "test": ("test.txt",),
}
"""What the lists may be called."""

_MAX_BYTES = 16 << 20


def list_folder(name: str) -> Path | None:
    """Return the folder of lists that a split's name means: a folder, or one of the lists in it; None for others."""
    path = Path(name).expanduser()
    if path.is_dir() or path.suffix.lower() == ".txt":
        return path if path.is_dir() else path.parent
    return None


def read_lists(folder: Path, items: Sequence[Item], *, allow_missing: bool = False) -> dict[str, list[Item]]:
    """Return the images that each list names, in its order; a list that is not there gives none.

    A line is an image's id, its file name, or a path to it; ``#`` begins a comment. Where several datasets hold one
    id, the line must name the dataset: ``kvasir/cju0qkwl35piu0993l0dewei2``.

    Args:
        folder: Where the lists are.
        items: The images that may be named.
        allow_missing: Leave out names that are not there.
    Raises:
        BenchError: No ``train.txt``; a name that is unknown or means several images, or an image that is in two
            lists; the file and its line are named.
    """
    found = {part: _path(folder, names) for part, names in FILES.items()}
    if found["train"] is None:
        raise BenchError(f"split folder {folder}: holds no train.txt; expected train.txt, and val.txt and test.txt")
    known = _keys(items)
    parts: dict[str, list[Item]] = {part: [] for part in FILES}
    seen: dict[Item, str] = {}
    for part, path in found.items():
        for number, line in _lines(path) if path else ():
            where = f"{path}, line {number}"
            item = _named(line, known, where)
            if item is None and allow_missing:
                continue
            if item is None:
                raise BenchError(f"{where}: {line!r} is no image of {_sets(items)}; or pass --allow-missing")
            if item in seen:
                raise BenchError(f"{where}: {item.dataset}/{item.id} is already in {seen[item]}; remove one")
            seen[item] = where
            parts[part].append(item)
    return parts


def _path(folder: Path, names: Sequence[str]) -> Path | None:
    there = [folder / name for name in names if (folder / name).is_file()]
    if len(there) > 1:
        raise BenchError(f"split folder {folder}: {shown([path.name for path in there])} mean the same; keep one")
    return there[0] if there else None


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = read_text(path, max_bytes=_MAX_BYTES)
    except (OSError, FormatFault) as error:
        reason = getattr(error, "strerror", None) or error
        raise BenchError(f"cannot read {path}: {reason}; expected one name per line, in UTF-8") from error
    lines = ((number, re.sub(r"(^|\s)#.*", "", line).strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line]


def _keys(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Return the images by what a line may call them."""
    known: dict[str, list[Item]] = {}
    for item in items:
        for key in dict.fromkeys((item.id, f"{item.dataset}/{item.id}", composed(item.image_path.stem))):
            known.setdefault(key, []).append(item)
    return known


def _named(line: str, known: dict[str, list[Item]], where: str) -> Item | None:
    """Return the image that a line means: as it stands, without suffix, or by its last part."""
    name = composed(line.replace("\\", "/"))
    path = PurePosixPath(name)
    short = name[: -len(path.suffix)] if path.suffix.lower() in IMAGE_SUFFIXES else name
    for key in (name, short, PurePosixPath(short).name):
        found = known.get(key, [])
        if len(found) > 1:
            each = shown([f"{item.dataset}/{item.id}" for item in found])
            raise BenchError(f"{where}: {line!r} may be {each}; write one of them")
        if found:
            return found[0]
    return None


def _sets(items: Sequence[Item]) -> str:
    return shown(list(dict.fromkeys(item.dataset for item in items))) or "no dataset"
