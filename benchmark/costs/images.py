"""Number of images that a plan trains, validates and tests on: from disk, or from published sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmark.data.listing.datasets import ENDOSCENE_PARTS, dataset_info, list_dataset
from benchmark.data.listing.items import Item
from benchmark.data.listing.stand_ins import MEAN_PIXELS, list_or_count
from benchmark.data.splits.choose import is_split_file, make_split
from benchmark.data.splits.files import parse_split
from benchmark.errors import BenchError
from benchmark.study.plan import Request

_LOOKED_AT = 20


@dataclass(frozen=True)
class Images:
    """Counts of a split.

    Attributes:
        split: Its name, or the file.
        seed: Its seed.
        train, val: Images, all datasets pooled.
        tests: Images of each test set.
        sources: Dataset -> where its count comes from.
        map_px: Mean pixels of a test image's mask.
        num_sets: Datasets asked for; EndoScene counts as the two of which it is made.
    """

    split: str
    seed: int
    train: int
    val: int
    tests: dict[str, int]
    sources: dict[str, str]
    map_px: float
    num_sets: int


def count_images(request: Request) -> Images:
    """Count what a request would train and test on; no image is decoded.

    An absent dataset counts with its published size, unless ``allow_missing`` leaves it out.

    Raises:
        BenchError: Unknown names, a dataset of unknown size, or nothing to train on.
    """
    if is_split_file(request.split):
        return _of_file(request)
    split = make_split(
        request.split,
        list(request.datasets),
        root=request.data_root,
        seed=request.split_seed,
        allow_missing=request.allow_missing,
        cache_dir=request.cache_dir,
        listing=list_dataset if request.allow_missing else list_or_count,
    )
    tests = {name: len(items) for name, items in split.tests.items()}
    everything: dict[str, list[Item]] = {}
    for item in (*split.train, *split.val, *(item for items in split.tests.values() for item in items)):
        everything.setdefault(item.dataset, []).append(item)
    sources = {name: _source(name, items) for name, items in everything.items()}
    sources |= {name: f"left out: {reason}" for name, reason in split.missing.items()}
    pixels = sum(_mean_px(name, items) * len(items) for name, items in split.tests.items())
    num_sets = sum(len(ENDOSCENE_PARTS) if name == "endoscene" else 1 for name in everything)
    return Images(
        request.split,
        request.split_seed,
        len(split.train),
        len(split.val),
        tests,
        sources,
        pixels / max(1, sum(tests.values())),
        num_sets,
    )


def _of_file(request: Request) -> Images:
    rows = parse_split(Path(request.split))
    tests = {name: len(found) for name, found in rows["tests"].items()}
    named = {row[0] for found in (rows["train"], rows["val"], *rows["tests"].values()) for row in found}
    pixels = sum(MEAN_PIXELS.get(name, MEAN_PIXELS[""]) * count for name, count in tests.items())
    if not rows["train"] or not tests:
        raise BenchError(f"split file {request.split}: nothing to train or to test on; export another")
    return Images(
        request.split,
        rows["seed"],
        len(rows["train"]),
        len(rows["val"]),
        tests,
        dict.fromkeys(sorted(named), "counted in the split file"),
        pixels / max(1, sum(tests.values())),
        sum(len(ENDOSCENE_PARTS) if name == "endoscene" else 1 for name in named),
    )


def _source(name: str, items: Sequence[Item]) -> str:
    if items[0].is_stand_in:
        return f"published size ({dataset_info(name).expected} images)"
    return "drawn by this package" if dataset_info(name).synthetic else "on disk"


def _mean_px(name: str, items: Sequence[Item]) -> float:
    """Mean pixels of a test set's masks, from the headers of some files, or as published."""
    if items[0].is_stand_in:
        return MEAN_PIXELS.get(name, MEAN_PIXELS[""])
    sizes = []
    for item in items[:: max(1, len(items) // _LOOKED_AT)]:
        try:
            with Image.open(item.mask_path) as image:
                sizes.append(image.size[0] * image.size[1])
        except (OSError, ValueError):  # the run itself reads or refuses a file that Pillow refuses
            continue
    return sum(sizes) / len(sizes) if sizes else MEAN_PIXELS[""]
