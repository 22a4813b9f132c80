"""The folder layouts in which each dataset is distributed, as data.

Every dataset has alternatives, each made of one or more pairs of folders. The first complete alternative is taken;
where none is complete, the one that holds most images. Sources of the layouts: the distributions themselves, and
PraNet's bundles (``TrainDataset``, ``TestDataset``), which hold five sets as PNG.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.listing.folders import (
    ACCEPTED,
    Pair,
    by_id,
    homes,
    image_files,
    pair_by_id,
    subfolder,
    what_lies_in,
    without_mask_suffix,
)
from benchmark.data.listing.items import natural_key
from benchmark.errors import BenchError

ANY = r"(?P<id>.+)"
NUMBER = r"(?P<id>\d+)"
MASK_NUMBER = r"p(?P<id>\d+)"
CVC300 = r"(?P<id>149|1[5-9]\d|20[0-8])"  # the ColonDB frames 149-208, which are CVC-300
MASK_CVC300 = rf"p{CVC300}"
KVASIR_ID = r"(?P<id>.*\D.*)"  # beside numbers, which are ClinicDB's
ISIC = r"(?P<id>ISIC_\d+)"
ISIC_MASK = r"(?P<id>ISIC_\d+)_[Ss]egmentation"


@dataclass(frozen=True)
class Folders:
    """A folder of images and a folder of masks.

    Attributes:
        names: Names of the dataset's own folder; "" is the data root itself.
        images: Path of the image folder inside it ("" is the folder itself).
        masks: Path of the mask folder inside it.
        image_id: Regular expression on the image's stem with a group ``id``; others are strays.
        mask_id: The same for masks.
        suffixed: Mask names may end in a word after the image's name, such as ``_mask``.
        part: The published part that these images belong to.
    """

    names: tuple[str, ...]
    images: str
    masks: str
    image_id: str = ANY
    mask_id: str = ANY
    part: str = ""
    suffixed: bool = False


Alternative = tuple[Folders, ...]

_TRAIN, _TEST = ("TrainDataset",), ("TestDataset",)
_KVASIR = ("Kvasir-SEG", "kvasir")
_CLINICDB = ("CVC-ClinicDB", "clinicdb", "CVC-612")
_COLONDB = ("CVC-ColonDB", "colondb")
_CVC300 = ("CVC-300", "cvc300")
_ENDOSCENE = ("CVC-EndoSceneStill", "EndoSceneStill", "CVC-EndoScene", "endoscene")
_ETIS = ("ETIS-LaribPolypDB", "ETIS-Larib Polyp DB", "etis")
_ISIC2016 = ("", "isic2016", "ISBI2016")
_ISIC2018 = ("", "isic2018")


def _bundle(name: str, pattern: str = NUMBER) -> Folders:
    return Folders(_TEST, f"{name}/images", f"{name}/masks", pattern, pattern)


def _bundle_train(pattern: str) -> Alternative:
    """Both spellings of the training bundle; only one of them exists in a copy."""
    singular = Folders(_TRAIN, "image", "mask", pattern, pattern)
    plural = Folders(_TRAIN, "images", "masks", pattern, pattern)
    return (singular, plural)


def _isic(names: tuple[str, ...], images: str, masks: str, part: str) -> Folders:
    return Folders(names, images, masks, ISIC, ISIC_MASK, part)


def _isic2016(part: str) -> Folders:
    stem = f"ISBI2016_ISIC_Part1_{part}"
    return _isic(_ISIC2016, f"{stem}_Data", f"{stem}_GroundTruth", "train" if part == "Training" else "test")


def _isic2018(part: str, short: str) -> Folders:
    return _isic(_ISIC2018, f"ISIC2018_Task1-2_{part}_Input", f"ISIC2018_Task1_{part}_GroundTruth", short)


LAYOUTS: dict[str, tuple[Alternative, ...]] = {
    "kvasir": (
        (Folders(_KVASIR, "images", "masks"),),
        (*_bundle_train(KVASIR_ID), _bundle("Kvasir", KVASIR_ID)),
    ),
    "clinicdb": (
        (Folders(_CLINICDB, "Original", "Ground Truth", NUMBER, NUMBER),),
        (Folders(_CLINICDB, "TIF/Original", "TIF/Ground Truth", NUMBER, NUMBER),),
        (Folders(_CLINICDB, "PNG/Original", "PNG/Ground Truth", NUMBER, NUMBER),),
        (Folders(_CLINICDB, "images", "masks", NUMBER, NUMBER),),
        (Folders(_ENDOSCENE, "CVC-612/bbdd", "CVC-612/gtpolyp", NUMBER, NUMBER),),
        (Folders(_ENDOSCENE, "CVC-612/images", "CVC-612/masks", NUMBER, NUMBER),),
        (*_bundle_train(NUMBER), _bundle("CVC-ClinicDB")),
    ),
    "colondb": (
        (Folders(_COLONDB, "", "", NUMBER, MASK_NUMBER),),
        (Folders(_COLONDB, "images", "masks", NUMBER, r"p?(?P<id>\d+)"),),
        (_bundle("CVC-ColonDB"),),
    ),
    "cvc300": (
        (Folders(_CVC300, "images", "masks"),),
        (_bundle("CVC-300"),),
        (Folders(_COLONDB, "", "", CVC300, MASK_CVC300),),
        (Folders(_COLONDB, "images", "masks", CVC300, rf"p?{CVC300}"),),
        (Folders(_ENDOSCENE, "CVC-300/bbdd", "CVC-300/gtpolyp", CVC300, CVC300),),
        (Folders(_ENDOSCENE, "CVC-300/images", "CVC-300/masks", CVC300, CVC300),),
    ),
    "etis": (
        (Folders(_ETIS, "ETIS-LaribPolypDB", "Ground Truth", NUMBER, MASK_NUMBER),),
        (Folders(("",), "ETIS-LaribPolypDB", "Ground Truth", NUMBER, MASK_NUMBER),),
        (Folders(_ETIS, "images", "masks", NUMBER, r"p?(?P<id>\d+)"),),
        (_bundle("ETIS-LaribPolypDB"),),
    ),
    "isic2016": ((_isic2016("Training"), _isic2016("Test")),),
    "isic2018": (
        (
            _isic2018("Training", "train"),
            _isic2018("Validation", "validation"),
            _isic2018("Test", "test"),
        ),
    ),
}
"""Alternatives by dataset; ``ph2`` and users' folders have a function each below."""


class LayoutFault(BenchError):  # noqa: N818 (reads as what it says)
    """A folder with a dataset's name but no usable content; another layout may still fit."""


def find_pairs(name: str, root: Path, expected: int) -> list[Pair]:
    """Return the pairs of dataset ``name`` below ``root`` in natural order; empty where nothing is found.

    Raises:
        BenchError: For an empty folder, an orphan, an ambiguous id or a folder without its counterpart.
    """
    if name == "ph2":
        return _ph2(root)
    best: list[Pair] = []
    fault: LayoutFault | None = None
    alternatives = LAYOUTS.get(name) or own_folder(name)
    for alternative in alternatives:
        try:
            pairs = _read(alternative, root)
        except LayoutFault as error:
            fault = fault or error
            continue
        if pairs and len(pairs) == expected:
            return pairs
        best = max(best, pairs, key=len)
    if not best:
        _explain_nothing(alternatives, root, fault)
    return best


OWN_IMAGES, OWN_MASKS = ("images", "image", "imgs"), ("masks", "mask", "gt", "groundtruth")
"""Names of the two folders of a user's dataset; capitals, spaces and hyphens do not matter."""


def own_folder(name: str) -> tuple[Alternative, ...]:
    """Return the layouts of a user's dataset: ``<root>/<name>/{images,masks}``, paired by stem."""
    return tuple((Folders((name,), images, masks, suffixed=True),) for images in OWN_IMAGES for masks in OWN_MASKS)


def is_own_folder(folder: Path) -> bool:
    """Tell whether a folder holds a user's dataset."""
    return all(any(subfolder(folder, name) for name in names) for names in (OWN_IMAGES, OWN_MASKS))


def _explain_nothing(alternatives: tuple[Alternative, ...], root: Path, fault: LayoutFault | None) -> None:
    """Raise the error found, or one for a folder with the right name and unknown content."""
    if fault is not None:
        raise fault
    own = alternatives[0][0].names
    for home in homes(root, tuple(n for n in own if n)):
        inside = " or ".join(dict.fromkeys(f.images or "N.tiff" for a in alternatives for f in a if f.names == own))
        lies = what_lies_in(home)
        raise LayoutFault(f"folder {home} holds no images in a known layout: expected {inside} in it, found {lies}")


def _read(alternative: Alternative, root: Path) -> list[Pair]:
    pairs: dict[str, Pair] = {}
    for folders in alternative:
        for pair in _read_folders(folders, root):
            first = pairs.setdefault(pair.id, pair)
            if first is not pair:
                raise BenchError(f"{pair.image} and {first.image} have the same id {pair.id!r}: remove one")
    return sorted(pairs.values(), key=lambda pair: natural_key(pair.id))


def _read_folders(folders: Folders, root: Path) -> list[Pair]:
    for home in homes(root, folders.names):
        images = subfolder(home, folders.images)
        if images is None:
            continue
        masks = subfolder(home, folders.masks)
        if masks is None:
            lies = what_lies_in(home)
            raise LayoutFault(
                f"{images} has no folder of masks beside it: expected {home / folders.masks}, found {lies}"
            )
        of_images, of_masks = by_id(images, folders.image_id), by_id(masks, folders.mask_id)
        if folders.suffixed:
            of_masks = without_mask_suffix(of_masks, of_images)
        if folders.images and not of_images and not of_masks and not image_files(images):
            lies = what_lies_in(images)
            raise LayoutFault(
                f"folder {images} holds no image: expected {ACCEPTED}, found {lies}; unpack the archive again or "
                "remove the folder"
            )
        return pair_by_id(of_images, of_masks, folders.part)
    return []


def _ph2(root: Path) -> list[Pair]:
    """PH2: one folder a lesion, ``IMDxxx/{IMDxxx_Dermoscopic_Image/IMDxxx.bmp, IMDxxx_lesion/IMDxxx_lesion.bmp}``.

    Of a ``.bmp`` and a ``.jpg`` of one lesion the ``.bmp`` is read: it is the original.
    """
    for home in homes(root, ("PH2Dataset", "PH2", "PH2 Dataset")):
        folder = subfolder(home, "PH2 Dataset images")
        if folder is None:
            continue
        images: dict[str, Path] = {}
        masks: dict[str, Path] = {}
        for lesion in sorted(p for p in folder.iterdir() if re.fullmatch(r"IMD\d+", p.name)):
            for store, step in ((images, "Dermoscopic_Image"), (masks, "lesion")):
                inside = lesion / f"{lesion.name}_{step}"
                if inside.is_dir():
                    store.update(by_id(inside, rf"(?P<id>{lesion.name})(_lesion)?", preferred=".bmp"))
        if not images and not masks:
            raise LayoutFault(f"folder {folder} holds no image: expected IMDxxx folders; unpack the archive again")
        return pair_by_id(images, masks)
    return []
