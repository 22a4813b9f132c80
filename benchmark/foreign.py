"""Maps that others made: find them, see that they are complete and sound, read them as 8-bit probabilities.

Authors publish maps as PNG, JPEG or NPY, as 0..255 or 0..1, in one folder or nested by dataset. Nothing is guessed
silently: what is missing, surplus, of another size, constant, coloured or NaN is listed by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.items import Item
from benchmark.data.reading import read_mask
from benchmark.errors import BenchError

_OVERSHOOT = 0.001
_LEAST_TOP = 2.0  # no set of 8-bit maps stays below it, no set of probabilities comes near it
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy")
FOLDER_NAMES: dict[str, tuple[str, ...]] = {
    "kvasir": ("Kvasir", "Kvasir-SEG"),
    "clinicdb": ("CVC-ClinicDB", "ClinicDB", "CVC-612"),
    "colondb": ("CVC-ColonDB", "ColonDB"),
    "cvc300": ("CVC-300", "CVC-T", "EndoScene"),
    "etis": ("ETIS-LaribPolypDB", "ETIS"),
}
"""Names that published results folders give to the test sets."""


@dataclass
class MapSet:
    """The maps of one test set, and what is wrong with them.

    Attributes:
        paths: Map by image id; those that can be scored.
        scale: What probability 1 is stored as: 1.0, 255.0, or 65535.0 (16-bit images).
        faults: Ids by kind of fault: missing, surplus, wrong size, constant, NaN, unreadable.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    scale: float = 255.0
    faults: dict[str, list[str]] = field(default_factory=dict)

    def add_fault(self, kind: str, name: str) -> None:
        """Note that ``name`` has a fault."""
        self.faults.setdefault(kind, []).append(name)

    def describe(self) -> list[str]:
        """One line per kind of fault, with every name."""
        return [f"{kind} ({len(names)}): {', '.join(names)}" for kind, names in self.faults.items()]

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Read a map as (H, W) uint8, 255 standing for probability 1."""
        values = read_values(path)
        if values.dtype == np.uint8 and self.scale == 255.0:
            return values
        prob = values.astype(np.float64) / self.scale
        return np.rint(np.clip(prob, 0, 1) * 255).astype(np.uint8)


def find_folder(predictions: Path, dataset: str) -> Path:
    """Return the folder that holds a dataset's maps: ``predictions`` itself, or the one folder below it named so.

    Raises:
        BenchError: No such folder, or more than one.
    """
    if not predictions.is_dir():
        raise BenchError(f"--predictions {predictions}: not a folder; expected one with a map per image")
    names = {name.lower() for name in (*FOLDER_NAMES.get(dataset, ()), dataset)}
    below = sorted(p for p in predictions.rglob("*") if p.is_dir() and p.name.lower() in names)
    if len(below) > 1:
        raise BenchError(
            f"--predictions {predictions}: several folders for {dataset}: {', '.join(map(str, below))}; name one"
        )
    if below:
        return below[0]
    if any(p.suffix.lower() in SUFFIXES for p in predictions.iterdir()):
        return predictions
    raise BenchError(f"--predictions {predictions}: no maps and no folder named {' or '.join(sorted(names))}")


def collect(folder: Path, items: Sequence[Item]) -> MapSet:
    """Match maps to images by name and look at every one.

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
    maps, tops = MapSet(), {}
    wanted = {item.id for item in items}
    for name in sorted(set(found) - wanted):
        maps.add_fault("surplus", found[name].name)
    for item in items:
        if item.id not in found:
            maps.add_fault("missing", item.id)
            continue
        tops[item.id] = _look(maps, item, found[item.id])
    maps.scale = _scale(max(tops.values(), default=0.0))
    for item in items:  # maps of one set share one scale: what lies between two scales fits none
        if item.id in maps.paths and tops[item.id] > maps.scale * (1 + _OVERSHOOT):
            maps.add_fault("out of range", maps.paths.pop(item.id).name)
    return maps


def _scale(top: float) -> float:
    """What probability 1 is stored as in a set whose greatest value is ``top``; a little overshoot is rounding."""
    if 0 < top < _LEAST_TOP:
        return 1.0
    return 255.0 if top <= 255.0 * (1 + _OVERSHOOT) else 65535.0


def read_values(path: Path) -> NDArray:
    """Read the stored values as (H, W): uint8, uint16 or float.

    Raises:
        BenchError: Unreadable, coloured, or an alpha channel that is not opaque.
    """
    try:
        values = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _read_image(path)
    except FileNotFoundError:
        raise BenchError(f"map {path} is missing") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise BenchError(f"map {path} is unreadable: {str(error).splitlines()[0]}") from None
    values = np.squeeze(values)
    if values.ndim == 3:
        values = _one_channel(values, path)
    if values.ndim != 2 or values.dtype.kind not in "bufi":
        raise BenchError(f"map {path} has shape {values.shape} and type {values.dtype}: expected one grey channel")
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def _look(maps: MapSet, item: Item, path: Path) -> float:
    """Check one map; returns its greatest value."""
    try:
        values = read_values(path)
    except BenchError as error:
        maps.add_fault("unreadable", f"{path.name} ({str(error).rpartition(': ')[2]})")
        return 0.0
    if not np.isfinite(values).all():
        maps.add_fault("NaN", path.name)
        return 0.0
    mask = read_mask(item)
    if values.shape != mask.shape:
        (h, w), (mh, mw) = values.shape, mask.shape
        maps.add_fault("wrong size", f"{path.name} ({w}x{h}, its mask is {mw}x{mh})")
        return 0.0
    if values.min() < -_OVERSHOOT:
        maps.add_fault("out of range", f"{path.name} (from {values.min():g} on)")
        return 0.0
    if values.min() == values.max():
        maps.add_fault("constant", path.name)
    maps.paths[item.id] = path
    return float(values.max())


def _read_image(path: Path) -> NDArray:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode in ("P", "CMYK", "1", "YCbCr"):
            return np.asarray(image.convert("RGB" if image.mode != "1" else "L"))
        return np.asarray(image)


def _one_channel(values: NDArray, path: Path) -> NDArray:
    """(H, W, C) with equal colours and an opaque alpha channel, or (C, H, W) from an array file -> (H, W)."""
    if path.suffix == ".npy" and values.shape[0] in (1, 3):
        values = np.moveaxis(values, 0, -1)
    if values.shape[2] in (2, 4):
        if (values[..., -1] != values[..., -1].flat[0]).any():
            raise BenchError(f"map {path}: its alpha channel is not constant; save one grey channel")
        values = values[..., :-1]
    if (values != values[..., :1]).any():
        raise BenchError(f"map {path}: coloured, its channels differ; save one grey channel")
    return values[..., 0]
