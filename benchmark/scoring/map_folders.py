"""Maps that others made: find them, see that they are complete and sound, read them as probabilities.

Authors publish maps as PNG, JPEG or NPY, as 0..255 or 0..1, in one folder or nested by dataset. Nothing is guessed
silently: what is missing, surplus, of another size, constant, coloured or NaN is listed by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.maps import SUFFIXES, MapFault, read_values
from benchmark.data.files.masks import KINDS, look_at_truth
from benchmark.data.files.parallel import ahead
from benchmark.data.listing.folders import same_name
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError

_OVERSHOOT = 0.001
_LEAST_TOP = 2.0  # no set of 8-bit maps stays below it, no set of probabilities comes near it
FOLDER_NAMES: dict[str, tuple[str, ...]] = {
    "kvasir": ("Kvasir", "Kvasir-SEG"),
    "clinicdb": ("CVC-ClinicDB", "ClinicDB", "CVC-612"),
    "colondb": ("CVC-ColonDB", "ColonDB"),
    "cvc300": ("CVC-300", "CVC-T", "EndoScene"),
    "etis": ("ETIS-LaribPolypDB", "ETIS"),
}
"""Names that published results folders give to the test sets; capitals, hyphens and spaces do not matter."""


@dataclass
class MapSet:
    """The maps of one test set, and what is wrong with them.

    Attributes:
        paths: Map by image id; those that can be scored.
        scales: What probability 1 is stored as, by type of number: 1.0, 255.0, or 65535.0 (16-bit images).
        faults: Names by kind of fault: missing, surplus, wrong size, constant, NaN, unreadable...
        notes: Names of masks by what is odd about them, keys of ``truth.KINDS``.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def add_fault(self, kind: str, name: str) -> None:
        """Note that ``name`` has a fault."""
        self.faults.setdefault(kind, []).append(name)

    def describe(self) -> list[str]:
        """One line per kind of fault and of odd mask, with every name."""
        lines = [f"{kind} ({len(names)}): {', '.join(names)}" for kind, names in self.faults.items()]
        if self.scales.get("8-bit") == 1.0:
            lines.append("8-bit maps hold 0 and 1 only; 1 is taken as probability 1")
        odd = [f"{kind} masks ({len(n)}) {KINDS[kind]}: {', '.join(n)}" for kind, n in self.notes.items()]
        return lines + odd

    def read(self, path: Path) -> NDArray:
        """Read a map as (H, W): uint8 where 255 stands for probability 1, else float64 in [0, 1]."""
        values = read_values(path)
        scale = self.scales.get(_number_type(values), 255.0)
        if values.dtype == np.uint8 and scale == 255.0:
            return values
        return np.clip(values.astype(np.float64) / scale, 0, 1)


def find_folder(predictions: Path, names: Iterable[str]) -> Path:
    """Return the folder with a dataset's maps: one named so at or below ``predictions``, or the only one with maps.

    Args:
        predictions: What the user gave.
        names: What the dataset may be called.
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
    if len(below) == 1 and (named or not _bears_other_name(below[0])):
        return below[0]
    found = f", several folders hold maps: {', '.join(map(str, below))}; name one" if len(below) > 1 else ""
    raise BenchError(f"--predictions {predictions}: no maps and no folder named {' or '.join(sorted(known))}{found}")


def _holds_maps(folder: Path) -> bool:
    return any(p.suffix.lower() in SUFFIXES and not p.name.startswith(".") for p in folder.iterdir())


def _bears_other_name(folder: Path) -> bool:
    """Whether a folder is called like a dataset: then its maps are not those of another one."""
    return same_name(folder.name) in {same_name(n) for names in FOLDER_NAMES.values() for n in names}


def collect(folder: Path, items: Sequence[Item]) -> MapSet:
    """Match maps to images by name and look at every one, and at its mask.

    Args:
        folder: One file per image, named as the image.
        items: The images of the test set.
    Raises:
        BenchError: Two files for one image.
    """
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")):
        if path.stem in found:
            raise BenchError(f"{folder}: two maps for {path.stem}: {found[path.stem].name} and {path.name}; remove one")
        found[path.stem] = path
    maps = MapSet()
    wanted = {item.id for item in items}
    for name in sorted(set(found) - wanted):
        maps.add_fault("surplus", found[name].name)
    looks = ahead(lambda item: _look(item, found.get(item.id)), items)
    tops = {item.id: _note(maps, item, look) for item, look in zip(items, looks, strict=True)}
    for kind in {number for number, _ in tops.values()}:
        maps.scales[kind] = _scale(max(top for number, top in tops.values() if number == kind))
    for item in items:  # maps of one kind share one scale: what lies between two scales fits none
        number, top = tops[item.id]
        if item.id in maps.paths and top > maps.scales[number] * (1 + _OVERSHOOT):
            maps.add_fault("out of range", maps.paths.pop(item.id).name)
    return maps


@dataclass(frozen=True)
class _Look:
    """What one map and its mask showed: faults, odd masks, whether it can be scored, its numbers and their top."""

    path: Path | None
    faults: tuple[tuple[str, str], ...] = ()
    kinds: tuple[str, ...] = ()
    usable: bool = False
    number: str = ""
    top: float = 0.0


def _note(maps: MapSet, item: Item, look: _Look) -> tuple[str, float]:
    for kind, name in look.faults:
        maps.add_fault(kind, name)
    for kind in look.kinds:
        maps.notes.setdefault(kind, []).append(item.mask_path.name)
    if look.usable and look.path is not None:
        maps.paths[item.id] = look.path
    return look.number, look.top


def _look(item: Item, path: Path | None) -> _Look:
    """Check one map against its mask."""
    try:
        grey, kinds = look_at_truth(item)
    except BenchError as error:
        reason = str(error).removeprefix(f"mask {item.mask_path}").removeprefix(f"cannot read image {item.mask_path}")
        return _Look(path, (("unusable mask", f"{item.mask_path.name} ({reason.lstrip(': ')})"),))
    if path is None:
        return _Look(None, (("missing", item.id),), tuple(kinds))
    fault, usable, number, top = _check(path, grey.shape)
    return _Look(path, fault, tuple(kinds), usable, number, top)


def _check(path: Path, shape: tuple[int, ...]) -> tuple[tuple[tuple[str, str], ...], bool, str, float]:
    """Return faults, whether the map can be scored all the same, its type of number and its greatest value."""
    try:
        values = read_values(path)
    except MapFault as fault:
        return ((fault.kind, f"{path.name} ({fault.detail})"),), False, "", 0.0
    if not np.isfinite(values).all():
        return (("NaN", path.name),), False, "", 0.0
    if values.shape != shape:
        (h, w), (mh, mw) = values.shape, shape
        return (("wrong size", f"{path.name} ({w}x{h}, its mask is {mw}x{mh})"),), False, "", 0.0
    if values.min() < -_OVERSHOOT:
        return (("out of range", f"{path.name} (from {values.min():g} on)"),), False, "", 0.0
    constant = values.min() == values.max()
    return (("constant", path.name),) if constant else (), True, _number_type(values), float(values.max())


def _number_type(values: NDArray) -> str:
    """Name the type of number that shares one scale: 8-bit, other whole numbers, floats."""
    return "8-bit" if values.dtype == np.uint8 else "float" if values.dtype.kind == "f" else "whole"


def _scale(top: float) -> float:
    """What probability 1 is stored as in a set whose greatest value is ``top``; a little overshoot is rounding."""
    if 0 < top < _LEAST_TOP:
        return 1.0
    return 255.0 if top <= 255.0 * (1 + _OVERSHOOT) else 65535.0
