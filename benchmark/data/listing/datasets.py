"""The datasets by name: what they are, where to get them, and the list of their items."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.listing.folders import Pair, homes, what_lies_in
from benchmark.data.listing.groups import assign_groups
from benchmark.data.listing.items import MASK_THRESHOLD, DatasetMissing, Item
from benchmark.data.listing.layouts import find_pairs, is_own_folder
from benchmark.data.phantom.dataset import materialise_phantom
from benchmark.data.phantom.domains import DOMAINS
from benchmark.data.phantom.faults import FAULTS, materialise_faulty
from benchmark.errors import BenchError, unknown_name

if TYPE_CHECKING:
    from benchmark.data.listing.manifest import Manifest

__all__ = [
    "DATASETS",
    "GROUPS",
    "MASK_THRESHOLD",
    "DatasetInfo",
    "DatasetMissing",
    "Item",
    "dataset_info",
    "expand_datasets",
    "list_dataset",
    "resolve_root",
]


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a dataset, known before any file is read.

    Attributes:
        name: The name used on the command line and in records.
        title: The name printed in tables.
        expected: Number of images in the original distribution; 0 if unknown.
        source: Where to get it.
        licence: Its terms in one line.
        synthetic: True where the images are drawn by this package.
    """

    name: str
    title: str
    expected: int
    source: str
    licence: str
    synthetic: bool = False


_RESEARCH = "research and education only; see the source's terms"
_ISIC_TERMS = "the terms of the ISIC archive and of each challenge; see the source"
_BUNDLE = "PraNet's test bundle, Google Drive id 1Y2z7FD5p5y31vkZwQQomXFRB0HutHyao"
_CLINICDB_URL = "https://polyp.grand-challenge.org/CVCClinicDB/"
_ISIC_URL = "https://isic-challenge-data.s3.amazonaws.com"

_REAL = (
    DatasetInfo("kvasir", "Kvasir", 1000, "https://datasets.simula.no/downloads/kvasir-seg.zip", _RESEARCH),
    DatasetInfo("clinicdb", "CVC-ClinicDB", 612, _CLINICDB_URL, _RESEARCH),
    DatasetInfo("colondb", "CVC-ColonDB", 380, f"{_BUNDLE}, or a mirror (figshare 21221579)", _RESEARCH),
    DatasetInfo("cvc300", "CVC-300", 60, f"{_BUNDLE}, or CVC-ColonDB (its frames 149-208)", _RESEARCH),
    DatasetInfo("endoscene", "CVC-EndoScene", 672, "clinicdb and cvc300, of which it is made", _RESEARCH),
    DatasetInfo("etis", "ETIS", 196, "https://polyp.grand-challenge.org/ETISLarib/", _RESEARCH),
    DatasetInfo("isic2016", "ISIC 2016", 1279, f"{_ISIC_URL}/2016/", _ISIC_TERMS),
    DatasetInfo("isic2018", "ISIC 2018", 3694, f"{_ISIC_URL}/2018/", _ISIC_TERMS),
    DatasetInfo("ph2", "PH2", 200, "https://www.fc.up.pt/addi/ph2%20database.html", _RESEARCH),
)
_BY_FORM = "by its owners' form; research only, no redistribution"
_MORE = (
    DatasetInfo("polypgen", "PolypGen", 0, "https://www.synapse.org/Synapse:syn45200214 (registration)", _RESEARCH),
    DatasetInfo("polypdb", "PolypDB", 3934, "https://osf.io/pr7ms", _RESEARCH),
    DatasetInfo(
        "hyperkvasir-normal", "HyperKvasir (normal)", 0, "https://datasets.simula.no/hyper-kvasir", "CC BY 4.0"
    ),
    DatasetInfo("kvasir-sessile", "Kvasir-Sessile", 196, "https://datasets.simula.no/kvasir-seg", _RESEARCH),
    DatasetInfo("piccolo", "PICCOLO", 0, "its owners, by request", _BY_FORM),
    DatasetInfo("neopolyp", "BKAI-IGH NeoPolyp", 0, "https://www.kaggle.com/c/bkai-igh-neopolyp", _RESEARCH),
    DatasetInfo("sun-seg", "SUN-SEG", 0, "its authors' form", _BY_FORM),
)
HOMES: dict[str, tuple[str, ...]] = {
    "polypgen": ("PolypGen2021_MultiCenterData_v3", "PolypGen2021", "PolypGen"),
    "polypdb": ("PolypDB_modality_wise", "PolypDB"),
    "hyperkvasir-normal": ("labeled-images", "hyper-kvasir-labeled-images", "hyper-kvasir"),
    "kvasir-sessile": ("sessile-main-Kvasir-SEG", "Kvasir-Sessile"),
    "piccolo": ("piccolodb", "PICCOLO"),
    "neopolyp": ("bkai-igh-neopolyp", "NeoPolyp"),
    "sun-seg": ("SUN-SEG", "SUN-SEG-Annotation"),
}
"""Names that a dataset's folder may have, for datasets with a packaged manifest (``manifests/``)."""

_PHANTOM = tuple(
    DatasetInfo(name, domain.title, domain.num_images, "drawn by this package", "MIT, as this package", synthetic=True)
    for name, domain in DOMAINS.items()
)

DATASETS: dict[str, DatasetInfo] = {info.name: info for info in (*_REAL, *_MORE, *_PHANTOM)}
"""Every dataset known by name."""

GROUPS: dict[str, tuple[str, ...]] = {
    "polyp": ("kvasir", "etis", "colondb", "endoscene"),  # the order of the paper's tables
    "skin": ("isic2016", "isic2018", "ph2"),
    "phantom": tuple(DOMAINS),
    "phantom-faulty": tuple(FAULTS),
}
"""Names that stand for several datasets."""

MANIFESTS: dict[str, Manifest] = {}
"""Datasets given by a manifest in this process, by name."""

ENDOSCENE_PARTS = ("clinicdb", "cvc300")


SEEN = "-seen"
"""Ends the name of the test set of a dataset's parts that train under a split ``leave-out:PART``."""


def base_of(name: str) -> str:
    """Return the dataset that a test set is taken from: itself, or what stands before ``-seen``."""
    base = name.removesuffix(SEEN)
    return base if base in DATASETS or base in MANIFESTS else name


def dataset_info(name: str) -> DatasetInfo:
    """Return what is known of a dataset; the title of a user's folder is its name."""
    base = base_of(name)
    if base != name and name not in MANIFESTS:
        of = dataset_info(base)
        return replace(of, name=name, title=f"{of.title} (seen parts)", expected=0)
    own = MANIFESTS.get(name)
    if own is not None:
        return DatasetInfo(name, own.title or name, own.expected, own.source, own.licence)
    if name in FAULTS:
        title = f"{name.capitalize()} (synthetic; {FAULTS[name].title})"
        return DatasetInfo(name, title, 0, "drawn by this package", "MIT, as this package", synthetic=True)
    return DATASETS.get(name) or DatasetInfo(
        name, name, 0, "a folder with images/ and masks/, or its manifest (--datasets FILE.toml)", "the owner's"
    )


def expand_datasets(names: Iterable[str], root: Path | None = None) -> list[str]:
    """Replace group names by their members, each dataset once, in the given order.

    Args:
        names: Datasets, groups, names of folders below ``root`` that hold ``images`` and ``masks``, or manifests
            (``FILE.toml``), which are known by their name from then on.
        root: Data root, for users' folders.
    Raises:
        BenchError: For a name that is none of these, with the nearest match.
    """
    found: dict[str, None] = {}
    for given in names:
        name = register_manifest(Path(given)) if given.endswith(".toml") else given
        members = GROUPS.get(name) or ((name,) if _is_known(name, root) else ())
        if not members:
            raise _unknown(name, root)
        found.update(dict.fromkeys(members))
    return list(found)


def register_manifest(path: Path) -> str:
    """Read a manifest, make its dataset known by name, and return the name.

    Raises:
        BenchError: If the manifest is faulty, or its name is that of a known dataset or group.
    """
    from benchmark.data.listing.manifest import load_manifest

    manifest = load_manifest(path.expanduser())
    if manifest.name in DATASETS or manifest.name in GROUPS:
        raise BenchError(f"manifest {path}: name {manifest.name!r} is taken by a known dataset; choose another")
    MANIFESTS[manifest.name] = manifest
    return manifest.name


def _unknown(name: str, root: Path | None) -> BenchError:
    """Return the error for an unknown dataset: the content of a folder of that name, or the nearest match."""
    folder = None if root is None or "/" in name else root / name
    if folder is None or not name.strip(". ") or not folder.is_dir():
        return unknown_name("dataset", name, [*DATASETS, *GROUPS])
    lies = what_lies_in(folder)
    return BenchError(f"folder {folder} is not a dataset: expected images/ and masks/, found {lies}; or a manifest")


def _is_known(name: str, root: Path | None) -> bool:
    return name in DATASETS or name in FAULTS or name in MANIFESTS or _is_own_folder(name, root)


def _is_own_folder(name: str, root: Path | None) -> bool:
    """Tell whether ``root/name`` is a user's dataset; its name must be usable as a file name."""
    if root is None or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or not (root / name).is_dir():
        return False
    return is_own_folder(root / name)


def resolve_root(root: Path | str | None) -> Path:
    """Return the data root from the argument or BENCH_DATA_ROOT.

    Raises:
        BenchError: If neither names an existing folder.
    """
    given = str(root) if root is not None else os.environ.get("BENCH_DATA_ROOT", "")
    if not given:
        raise BenchError(
            "no data root: pass --data-root DIR or set BENCH_DATA_ROOT to the folder that holds the datasets "
            "(--datasets phantom needs none)"
        )
    path = Path(given).expanduser()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise BenchError(f"data root {path} {what}: pass --data-root or BENCH_DATA_ROOT with the datasets' folder")
    return path


def list_dataset(name: str, root: Path | str | None = None, *, cache_dir: Path | None = None) -> list[Item]:
    """Return the items of a dataset in natural order of their ids.

    Args:
        name: Dataset name, or the name of a folder below ``root``.
        root: Data root; None takes BENCH_DATA_ROOT. Phantom sets need none.
        cache_dir: Where phantom images are written; None for the user's cache folder.
    Raises:
        DatasetMissing: If nothing of it is found.
        BenchError: If the folder is faulty: empty, an image without mask, two files for one id.
    """
    name = name if name in MANIFESTS else base_of(name)
    info = dataset_info(name)
    if name in MANIFESTS:
        from benchmark.data.listing.manifest_items import manifest_items

        return manifest_items(MANIFESTS[name], cache_dir=cache_dir)
    if name == "endoscene":
        return _endoscene(resolve_root(root))
    if name in HOMES:
        return _by_packaged_manifest(name, resolve_root(root), cache_dir)
    base = _base(name, root, cache_dir)
    pairs = find_pairs(name, base, info.expected)
    if not pairs:
        raise DatasetMissing(name, info.source, looked_in=base, fetchable=name in DATASETS)
    groups = assign_groups(name, pairs)
    return [_item(name, pair, groups[pair.id]) for pair in pairs]


def _by_packaged_manifest(name: str, root: Path, cache_dir: Path | None) -> list[Item]:
    from benchmark.data.listing.manifest import packaged_manifest
    from benchmark.data.listing.manifest_items import manifest_items

    info = dataset_info(name)
    for home in homes(root, HOMES[name]):
        items = manifest_items(packaged_manifest(name), home=home, cache_dir=cache_dir)
        if name == "kvasir-sessile":  # the same images, so the same groups
            groups = assign_groups("kvasir", [Pair(item.id, item.image_path, item.mask_path) for item in items])
            items = [replace(item, group=groups[item.id]) for item in items]
        return items
    raise DatasetMissing(name, info.source, looked_in=root)


def _base(name: str, root: Path | str | None, cache_dir: Path | None) -> Path:
    """Return the folder that contains a dataset; synthetic ones are drawn first."""
    if name in FAULTS:
        return materialise_faulty(cache_dir)
    return materialise_phantom(cache_dir) if dataset_info(name).synthetic else resolve_root(root)


def _item(dataset: str, pair: Pair, group: str) -> Item:
    return Item(dataset, pair.id, pair.image, pair.mask, group, pair.part)


def _endoscene(root: Path) -> list[Item]:
    """CVC-EndoScene as the paper counts it: CVC-ClinicDB's 612 frames and CVC-300's 60."""
    items: list[Item] = []
    for part in ENDOSCENE_PARTS:
        try:
            members = list_dataset(part, root)
        except DatasetMissing as error:
            source = f"{dataset_info(part).source} (its part {part!r})"
            raise DatasetMissing("endoscene", source, looked_in=root) from error
        items += [replace(item, dataset="endoscene", id=f"{part}-{item.id}") for item in members]
    return items
