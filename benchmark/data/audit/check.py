"""Check datasets on disk and report contents and errors; nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmark.data.audit.mask_faults import find_inverted
from benchmark.data.audit.odd_images import odd_image
from benchmark.data.files.decode import describe
from benchmark.data.files.hashing import content_hash, fingerprint
from benchmark.data.files.read_item import looks_like_mask
from benchmark.data.listing.annotations import DRAWN
from benchmark.data.listing.datasets import (
    MANIFESTS,
    dataset_info,
    expand_datasets,
    list_dataset,
    resolve_root,
)
from benchmark.data.listing.folders import IMAGE_SUFFIXES, same_name, shown
from benchmark.data.listing.found import found_datasets
from benchmark.data.listing.items import MASK_THRESHOLD, RECORD_NAME, Item
from benchmark.data.pixels.cache import load_pair
from benchmark.errors import BenchError

THREADS = 2
_SHOWN = 10


@dataclass(frozen=True)
class CheckReport:
    """Findings of a check in one dataset.

    Attributes:
        name: Dataset name.
        title: As printed in tables.
        num_images: Pairs found.
        expected: Pairs in the original distribution; 0 where unknown.
        num_groups: Sequences and duplicate clusters, single images included.
        folders: Folders that were read.
        sizes: Number of images by "width x height".
        image_kinds: Number of image files by format and samples.
        mask_kinds: The same for masks.
        num_grey_masks: Masks with more than two levels.
        max_threshold_effect: Greatest share of a mask's pixels that differ between value > 0 and value > 127, [0, 1].
        num_empty_masks: Masks without foreground.
        strays: Files in the folders that belong to no pair.
        fingerprint: Content hash of the set, "" where a file could not be read.
        hashes: Content hash of each sound pair by id, as split files hold it.
        faults: One line each; empty for a sound dataset.
    """

    name: str
    title: str
    num_images: int
    expected: int
    num_groups: int = 0
    folders: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    image_kinds: dict[str, int] = field(default_factory=dict)
    mask_kinds: dict[str, int] = field(default_factory=dict)
    num_grey_masks: int = 0
    max_threshold_effect: float = 0.0
    num_empty_masks: int = 0
    strays: tuple[str, ...] = ()
    fingerprint: str = ""
    faults: tuple[str, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True if no error was found."""
        return not self.faults

    def to_text(self) -> str:
        """Return the report as lines for a terminal."""
        effect = f"> 0 and > {MASK_THRESHOLD} differ in up to {self.max_threshold_effect:.1%} of a mask's pixels"
        lines = [
            f"{self.title} ({self.name}): {_verdict(len(self.faults))}",
            f"  images       {self.num_images}" + (f" of {self.expected}" if self.expected else ""),
            f"  groups       {self.num_groups}",
            f"  folders      {', '.join(self.folders)}",
            f"  sizes        {_counts(self.sizes)}",
            f"  image files  {_counts(self.image_kinds)}",
            f"  mask files   {_counts(self.mask_kinds)}",
            f"  grey masks   {self.num_grey_masks} with more than two levels; {effect}",
            f"  empty masks  {self.num_empty_masks}",
            f"  strays       {shown(self.strays, _SHOWN) or 'none'}",
            f"  fingerprint  {self.fingerprint or 'none'}",
        ]
        return "\n".join([*lines, *(f"  fault        {fault}" for fault in self.faults)])


@dataclass(frozen=True)
class _Seen:
    """Findings of one pair."""

    fault: str = ""
    swapped: bool = False
    size: str = ""
    image_kind: str = ""
    mask_kind: str = ""
    grey: bool = False
    empty: bool = False
    threshold_effect: float = 0.0
    odd_image: str = ""


def check_datasets(
    names: Sequence[str],
    root: Path | None = None,
    *,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> list[CheckReport]:
    """Check datasets one after the other.

    Args:
        names: Datasets or groups; all on disk if empty.
        root: Data root; None takes BENCH_DATA_ROOT.
        progress: Called with the dataset, the images read and in all.
    """
    wanted = expand_datasets(names, root) if names else found_datasets(root)
    return [check_dataset(name, root, progress=partial(progress, name)) for name in wanted]


def check_dataset(
    name: str,
    root: Path | str | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> CheckReport:
    """Read every file of a dataset and report counts, sizes, modes, levels, strays and faults.

    Args:
        name: Dataset name.
        root: Data root; None takes BENCH_DATA_ROOT.
        cache_dir: Where phantom images are written.
        progress: Called with images read and in all.
    Raises:
        BenchError: Only for an unusable data root; errors of the dataset are in the report.
    """
    info = dataset_info(name)
    if not info.synthetic and name not in MANIFESTS:
        root = resolve_root(root)
    try:
        items = list_dataset(name, root, cache_dir=cache_dir)
    except BenchError as error:
        return CheckReport(name, info.title, 0, info.expected, faults=(str(error),))
    with ThreadPoolExecutor(THREADS) as pool:
        seen = []
        for look in pool.map(_look, items):
            seen.append(look)
            progress(len(seen), len(items))
    report = _report(name, items, seen)
    inverted = find_inverted(items)
    return replace(report, faults=(*report.faults, inverted)) if inverted else report


def _look(item: Item) -> _Seen:
    try:
        image_kind, mask_kind = describe(item.image_path), describe(item.mask_path)
        image, grey = load_pair(item)
    except BenchError as error:
        return _Seen(fault=str(error), swapped=looks_like_mask(item.image_path))
    some, strong = int(np.count_nonzero(grey)), int(np.count_nonzero(grey > MASK_THRESHOLD))
    return _Seen(
        size=f"{image.shape[1]}x{image.shape[0]}",
        image_kind=image_kind,
        mask_kind=mask_kind,
        grey=int(np.count_nonzero(np.bincount(grey.ravel(), minlength=256))) > 2,
        empty=strong == 0,
        threshold_effect=(some - strong) / grey.size,
        odd_image=odd_image(image),
    )


def _report(name: str, items: Sequence[Item], seen: Sequence[_Seen]) -> CheckReport:
    info = dataset_info(name)
    faults = [look.fault for look in seen if look.fault and not look.swapped]
    swapped = [item for item, look in zip(items, seen, strict=True) if look.swapped]
    if swapped:
        where, there = swapped[0].image_path.parent, swapped[0].mask_path.parent
        faults.insert(
            0,
            f"{len(swapped)} pairs look swapped: masks are in {where} and images in {there}; exchange the two folders",
        )
    faults += _odd_images(items, seen)
    good = [look for look in seen if not look.fault]
    if info.expected and len(items) != info.expected:
        faults.insert(0, f"{len(items)} images found, {info.expected} expected; get the rest from {info.source}")
    return CheckReport(
        name,
        info.title,
        len(items),
        info.expected,
        num_groups=len({item.group for item in items}),
        folders=tuple(map(str, _folders(items)[:_SHOWN])),
        sizes=dict(Counter(look.size for look in good).most_common()),
        image_kinds=dict(Counter(look.image_kind for look in good).most_common()),
        mask_kinds=dict(Counter(look.mask_kind for look in good).most_common()),
        num_grey_masks=sum(look.grey for look in good),
        max_threshold_effect=max((look.threshold_effect for look in good), default=0.0),
        num_empty_masks=sum(look.empty for look in good),
        strays=_strays(items),
        fingerprint="" if len(good) < len(seen) else fingerprint(items),
        faults=tuple(faults),
        hashes={item.id: content_hash(item) for item, look in zip(items, seen, strict=True) if not look.fault},
    )


def _odd_images(items: Sequence[Item], seen: Sequence[_Seen]) -> list[str]:
    """Return one line per kind of suspicious image, with the names."""
    names: dict[str, list[str]] = {}
    for item, look in zip(items, seen, strict=True):
        if look.odd_image:
            names.setdefault(look.odd_image, []).append(item.image_path.name)
    return [f"{len(found)} images {kind}: {shown(found, _SHOWN)}" for kind, found in names.items()]


def _folders(items: Sequence[Item]) -> list[Path]:
    paths = (path for item in items for path in (item.image_path, item.mask_path))
    return list(dict.fromkeys(path.parent for path in paths if path.parent.parent.name != DRAWN))


def _strays(items: Sequence[Item]) -> tuple[str, ...]:
    """Return the names of files beside the images and masks that belong to no pair.

    If a folder serves several datasets, only files other than images are strays.
    """
    known = {path for item in items for path in (item.image_path, item.mask_path)}
    shared = items[0].dataset in ("cvc300", "endoscene")
    names = []
    for folder in _folders(items):
        passing = IMAGE_SUFFIXES if shared or same_name(folder.parent.name) == "traindataset" else frozenset()
        files = (path for path in sorted(folder.iterdir()) if path.is_file() and path not in known)
        files = (path for path in files if path.name != RECORD_NAME)  # what 'bench data fetch' writes beside the data
        names += [path.name for path in files if path.suffix.lower() not in passing]
    return tuple(names)


def _verdict(num_faults: int) -> str:
    return f"{num_faults} fault{'s' if num_faults > 1 else ''}" if num_faults else "ok"


def _counts(counts: dict[str, int]) -> str:
    shown = [f"{key} ({number})" for key, number in list(counts.items())[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")
