"""A split by its name or file: the door for everybody who needs one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.listing.datasets import dataset_info, expand_datasets, list_dataset
from benchmark.data.splits.draft import Draft, Listing
from benchmark.data.splits.files import load_split, save_split
from benchmark.data.splits.lists import list_folder
from benchmark.data.splits.partition import Split
from benchmark.data.splits.rules import SPLITS, rule_named
from benchmark.errors import BenchError

__all__ = ["SPLITS", "Split", "is_split_file", "load_split", "make_split", "obtain_split", "save_split"]


def make_split(
    name: str,
    datasets: Sequence[str],
    *,
    root: Path | None = None,
    seed: int = 0,
    allow_missing: bool = False,
    cache_dir: Path | None = None,
    listing: Listing = list_dataset,
) -> Split:
    """Divide datasets into training, validation and test items.

    Args:
        name: One of ``SPLITS``; ``kfold:5:1`` (fold 1 of 5 tests, groups whole); ``leave-out:C3`` (images of one part,
            such as a centre, test); or a folder with ``train.txt`` (see ``lists``).
        datasets: Names or groups. Under ``pranet`` ``endoscene`` (and so ``polyp``) means its parts, and Kvasir and
            ClinicDB train whatever is tested.
        root: Data root; None takes BENCH_DATA_ROOT.
        seed: Decides every random choice.
        allow_missing: Continue without absent datasets, and with incomplete ones under published lists.
            A random split uses an incomplete dataset and notes it in ``partial``.
        cache_dir: Where phantom images are written; None for the user's cache folder.
        listing: How a dataset becomes items.
    Raises:
        DatasetMissing: For an absent dataset, unless allowed.
        BenchError: For an unknown split or dataset, an incomplete dataset (unless allowed), real images mixed with
            synthetic ones, or when nothing is left to train or to test on.
    """
    rule = rule_named(name)
    names = expand_datasets(datasets, root)
    if len({dataset_info(n).synthetic for n in names}) > 1:
        raise BenchError("phantom (synthetic) and real datasets cannot share a split: run them one after the other")
    plan = Draft(seed, root, cache_dir, allow_missing, name == "pranet", listing)
    rule(plan, names)
    _require_images(name, names, plan)
    return Split(_title(name), seed, tuple(plan.train), tuple(plan.val), plan.tests, plan.missing, plan.partial)


def _title(name: str) -> str:
    """Return the name for records: a folder of lists is named by its last part."""
    folder = None if name in SPLITS else list_folder(name)
    return name if folder is None else f"lists-{re.sub(r'[^A-Za-z0-9_.-]+', '-', folder.absolute().name)}"


def _require_images(name: str, names: list[str], plan: Draft) -> None:
    asked = ", ".join(names) or "nothing"
    absent = f" (missing: {', '.join(plan.missing)})" if plan.missing else ""
    if not plan.train:
        raise BenchError(
            f"nothing to train on under split {name!r} with {asked}{absent}: add a dataset that trains, such as "
            f"{'phantom-kvasir' if 'phantom-etis' in names else 'isic2016' if name == 'paper-skin' else 'kvasir'}"
        )
    if not plan.val:
        raise BenchError(f"nothing to validate on under split {name!r} with {asked}{absent}: add more images")
    if not plan.tests:
        raise BenchError(f"nothing to test on under split {name!r} with {asked}{absent}: add a dataset")


def is_split_file(name: str) -> bool:
    """Whether a split's name is the path of an exported file."""
    return name.endswith(".json") or ("/" in name and list_folder(name) is None and ":" not in name)


def obtain_split(
    name: str,
    datasets: Sequence[str],
    *,
    root: Path | None = None,
    seed: int = 0,
    allow_missing: bool = False,
    cache_dir: Path | None = None,
) -> Split:
    """Draw a split by its name, or read it from a file that was exported.

    Args:
        name: As for ``make_split``, or the path of a split file (``*.json``), which then decides datasets and seed.
        datasets: As for ``make_split``; with a file only manifests among them matter, which say what its names mean.
        root: Data root; None takes BENCH_DATA_ROOT.
        seed: Decides every random choice.
        allow_missing: As for ``make_split`` and ``load_split``.
        cache_dir: Where phantom images are written.
    Raises:
        BenchError: See ``make_split`` and ``load_split``.
    """
    if is_split_file(name):
        expand_datasets([one for one in datasets if one.endswith(".toml")], root)
        return load_split(Path(name), root=root, allow_missing=allow_missing, cache_dir=cache_dir)
    return make_split(name, datasets, root=root, seed=seed, allow_missing=allow_missing, cache_dir=cache_dir)
