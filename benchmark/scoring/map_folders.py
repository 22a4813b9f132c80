"""External maps: find them, check that they are complete and valid, read them as probabilities.

Authors publish maps as PNG, JPEG or NPY, as 0..255 or 0..1, in one folder or nested by dataset. Nothing is guessed
silently: maps that are missing, surplus, of a wrong size, coloured, NaN or out of scale are listed by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.maps import SUFFIXES, MapFault, read_values
from benchmark.data.files.masks import KINDS, look_at_truth
from benchmark.data.files.parallel import ahead
from benchmark.data.listing.folders import composed, same_name
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError

_OVERSHOOT = 0.001
_LABELS = "labels other than 0 and 1 or 0 and 255"
_LEAST_TOP = 2.0  # no set of 8-bit maps stays below it, no set of probabilities comes near it
FOLDER_NAMES: dict[str, tuple[str, ...]] = {
    "kvasir": ("Kvasir", "Kvasir-SEG"),
    "clinicdb": ("CVC-ClinicDB", "ClinicDB", "CVC-612"),
    "colondb": ("CVC-ColonDB", "ColonDB"),
    "cvc300": ("CVC-300", "CVC-T", "EndoScene"),
    "etis": ("ETIS-LaribPolypDB", "ETIS"),
}
"""Names of the test sets in published results folders; case, hyphens and spaces do not matter."""


@dataclass
class MapSet:
    """The maps of one test set, and their errors.

    Attributes:
        paths: Map by image id; those that can be scored.
        scales: Stored value of probability 1, by type of number: 1.0, 255.0, or 65535.0 (16-bit images).
        faults: Names by kind of fault: missing, surplus, wrong size, NaN, unreadable...
        notes: Names of unusual masks by kind, keys of ``masks.KINDS``.
        remarks: One line for each peculiarity of maps that are scored nevertheless.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add_fault(self, kind: str, name: str) -> None:
        """Note that ``name`` has a fault."""
        self.faults.setdefault(kind, []).append(name)

    def describe(self) -> list[str]:
        """Return one line per kind of error and of unusual mask, with every name."""
        lines = [f"{kind} ({len(names)}): {', '.join(names)}" for kind, names in self.faults.items()]
        if self.scales.get("8-bit") == 1.0:
            lines.append("8-bit maps hold 0 and 1 only; 1 is read as probability 1")
        odd = [f"{kind} masks ({len(n)}) {KINDS[kind]}: {', '.join(n)}" for kind, n in self.notes.items()]
        return lines + self.remarks + odd

    def of(self, item: Item) -> NDArray:
        """Read an image's map, as ``read`` does."""
        return self.read(self.paths[item.id])

    def read(self, path: Path) -> NDArray:
        """Read a map as (H, W): uint8 where 255 stands for probability 1, else float64 in [0, 1]."""
        values = read_values(path)
        scale = self.scales.get(_number_type(values), 255.0)
        if values.dtype == np.uint8 and scale == 255.0:
            return values
        return np.clip(values.astype(np.float64) / scale, 0, 1)


def find_folder(predictions: Path, names: Iterable[str], ids: Collection[str] = ()) -> Path:
    """Return the folder with a dataset's maps: one named so at or below ``predictions``, or the only one with maps.

    Clips in folders of their own, which repeat names, are one folder of maps where their names begin the images' ids.

    Args:
        predictions: The folder that the user gave.
        names: Names of the dataset.
        ids: Of its images.
    Raises:
        BenchError: No such folder, or more than one.
    """
    if not predictions.is_dir():
        raise BenchError(f"--predictions {predictions}: not a folder; expected one with a map per image")
    known = list(names)
    wanted = {same_name(name) for name in known}
    folders = sorted(p for p in predictions.rglob("*") if p.is_dir() and not p.name.startswith("."))
    named = [p for p in folders if same_name(p.name) in wanted]
    named = [p for p in named if not any(parent in named for parent in p.parents)]  # Kvasir/PraNet/Kvasir is one
    if len(named) > 1:
        raise BenchError(
            f"--predictions {predictions}: several folders for {known[0]}: {', '.join(map(str, named))}; name one"
        )
    base = named[0] if named else predictions
    if _holds_maps(base):
        return base
    below = [p for p in folders if base in p.parents and _holds_maps(p)]
    if below and all(_is_clip(p.relative_to(base), ids) for p in below):
        return base
    if len(below) == 1 and (named or not _bears_other_name(below[0])):
        return below[0]
    found = f", several folders hold maps: {', '.join(map(str, below))}; name one" if len(below) > 1 else ""
    raise BenchError(f"--predictions {predictions}: no maps and no folder named {' or '.join(sorted(known))}{found}")


def _is_clip(folder: Path, ids: Collection[str]) -> bool:
    """Return whether some image's id begins with the folder's path, joined by hyphens."""
    start = composed("-".join(folder.parts)) + "-"
    return any(one.startswith(start) for one in ids)


def _holds_maps(folder: Path) -> bool:
    return any(p.suffix.lower() in SUFFIXES and not p.name.startswith(".") for p in folder.iterdir())


def _bears_other_name(folder: Path) -> bool:
    """Return whether a folder is named like a dataset: then its maps are not those of another one."""
    return same_name(folder.name) in {same_name(n) for names in FOLDER_NAMES.values() for n in names}


def collect(folder: Path, items: Sequence[Item]) -> MapSet:
    """Match maps to images by name and check every map and its mask.

    Args:
        folder: One file per image, named as the image; ``clip/frame.png`` is the map of ``clip-frame``.
        items: The images of the test set.
    Raises:
        BenchError: Two files for one image.
    """
    found: dict[str, Path] = {}
    wanted = {item.id for item in items}
    listed = folder.iterdir() if _holds_maps(folder) else folder.rglob("*")
    for path in sorted(p for p in listed if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")):
        name = composed("-".join(path.relative_to(folder).with_suffix("").parts))
        first = found.setdefault(name, path)
        if first is not path:
            raise BenchError(f"{folder}: two maps for {path.stem}: {first.name} and {path.name}; remove one")
    maps = MapSet()
    for name in sorted(set(found) - wanted):
        maps.add_fault("surplus", found[name].relative_to(folder).as_posix())
    looks = ahead(lambda item: _look(item, found.get(item.id)), items)
    seen = {item.id: _note(maps, item, look) for item, look in zip(items, looks, strict=True)}
    for kind in {look.number for look in seen.values() if look.usable}:
        maps.scales[kind] = _scale(max(look.top for look in seen.values() if look.number == kind))
    for name, look in seen.items():  # maps of one kind share one scale: values between two scales fit none
        if look.usable and look.top > maps.scales[look.number] * (1 + _OVERSHOOT):
            maps.add_fault("out of range", maps.paths.pop(name).name)
    _check_scale(maps, {name: look for name, look in seen.items() if name in maps.paths})
    return maps


def _check_scale(maps: MapSet, looks: Mapping[str, _Look]) -> None:
    """Refuse label maps whose labels are not 0 and 255 (or 0 and 1), and note scales that may be wrong.

    A set of two-valued maps says by its greatest value what 1 is stored as; read as n of 255, labels 0 and 2 would be
    two almost black maps.
    """
    whole = {name: look for name, look in looks.items() if look.number != "float" and look.top > 0}
    labels = all(look.levels for look in whole.values())
    for number in dict.fromkeys(look.number for look in whole.values()):
        of_kind = {name: look for name, look in whole.items() if look.number == number}
        scale, top = maps.scales[number], max(look.top for look in of_kind.values())
        low = {name: look for name, look in of_kind.items() if look.top < scale}
        if labels:
            for name, look in low.items():
                maps.paths.pop(name)
                maps.add_fault(_LABELS, f"{look.name} ({' and '.join(map(str, look.levels))})")
        elif top <= scale / 2:
            maps.remarks.append(
                f"{number} maps reach {top:g} of {scale:g} at most: multiply them if {top:g} means probability 1"
            )
        else:
            ones = [look.name for look in low.values() if look.top == 1 and look.levels]
            if ones:
                maps.remarks.append(
                    f"maps of 0 and 1 among others up to {top:g} ({len(ones)}) are read as 0 and 1/{scale:g}: "
                    f"{', '.join(ones)}"
                )
    flat = [look.name for look in looks.values() if look.constant]
    if flat:
        maps.remarks.append(f"constant maps ({len(flat)}) are scored unchanged: {', '.join(flat)}")


@dataclass(frozen=True)
class _Look:
    """Findings of one map and its mask.

    Attributes:
        path: The map, None if missing.
        faults: Kind and name.
        kinds: What is unusual about the mask.
        usable: Whether the map can be scored.
        number: Type of its numbers.
        top: Greatest value.
        levels: Its values where there are two at most, else ().
    """

    path: Path | None
    faults: tuple[tuple[str, str], ...] = ()
    kinds: tuple[str, ...] = ()
    usable: bool = False
    number: str = ""
    top: float = 0.0
    levels: tuple[float, ...] = ()

    @property
    def constant(self) -> bool:
        """Whether it holds one value only."""
        return len(self.levels) == 1

    @property
    def name(self) -> str:
        """File name of the map."""
        return self.path.name if self.path else ""


def _note(maps: MapSet, item: Item, look: _Look) -> _Look:
    for kind, name in look.faults:
        maps.add_fault(kind, name)
    for kind in look.kinds:
        maps.notes.setdefault(kind, []).append(item.mask_path.name)
    if look.usable and look.path is not None:
        maps.paths[item.id] = look.path
    return look


def _look(item: Item, path: Path | None) -> _Look:
    """Check one map against its mask."""
    try:
        grey, kinds = look_at_truth(item)
    except BenchError as error:
        reason = str(error).removeprefix(f"mask {item.mask_path}").removeprefix(f"cannot read image {item.mask_path}")
        return _Look(path, (("unusable mask", f"{item.mask_path.name} ({reason.lstrip(': ')})"),))
    if path is None:
        return _Look(None, (("missing", item.id),), tuple(kinds))
    return replace(_check(path, grey.shape), kinds=tuple(kinds))


def _check(path: Path, shape: tuple[int, ...]) -> _Look:
    """Inspect a map: its faults, whether it can be scored, its type of number, greatest value and levels."""
    try:
        values = read_values(path)
    except MapFault as fault:
        return _Look(path, ((fault.kind, f"{path.name} ({fault.detail})"),))
    if not np.isfinite(values).all():
        return _Look(path, (("NaN", path.name),))
    if values.shape != shape:
        (h, w), (mh, mw) = values.shape, shape
        return _Look(path, (("wrong size", f"{path.name} ({w}x{h}, its mask is {mw}x{mh})"),))
    low, high = values.min(), values.max()
    if low < -_OVERSHOOT:
        return _Look(path, (("out of range", f"{path.name} (from {low:g} on)"),))
    two = bool(((values == low) | (values == high)).all())
    levels = tuple(dict.fromkeys((low.item(), high.item()))) if two else ()
    return _Look(path, usable=True, number=_number_type(values), top=float(high), levels=levels)


def _number_type(values: NDArray) -> str:
    """Name the type of number that shares one scale: 8-bit, other whole numbers, floats."""
    return "8-bit" if values.dtype == np.uint8 else "float" if values.dtype.kind == "f" else "whole"


def _scale(top: float) -> float:
    """Return the stored value of probability 1 in a set with maximum ``top``; a slight overshoot is rounding."""
    if 0 < top < _LEAST_TOP:
        return 1.0
    return 255.0 if top <= 255.0 * (1 + _OVERSHOOT) else 65535.0
