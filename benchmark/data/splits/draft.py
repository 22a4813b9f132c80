"""A split under construction, and how training images are held out for validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.data.listing.datasets import dataset_info, list_dataset
from benchmark.data.listing.items import DatasetMissing, Item
from benchmark.data.splits.partition import Items, deal_groups, rank
from benchmark.errors import BenchError

WHOLLY_TEST = frozenset({"etis", "phantom-etis", "cvc300", "ph2", "hyperkvasir-normal", "kvasir-sessile"})
"""Sets that are never trained on under split ``paper``."""

Listing = Callable[..., list[Item]]
"""How a dataset becomes items: (name, root, *, cache_dir); ``list_dataset``, or ``stand_ins.list_or_count``."""

Rule = Callable[["Draft", list[str]], None]
"""Fills a draft with the items of the datasets named."""

_VAL_SHARE = 0.1


@dataclass
class Draft:
    """A split under construction, and how its datasets are listed."""

    seed: int
    root: Path | None
    cache_dir: Path | None
    allow_missing: bool
    published: bool
    listing: Listing = list_dataset
    train: list[Item] = field(default_factory=list)
    val: list[Item] = field(default_factory=list)
    tests: dict[str, Items] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)

    def items(self, name: str) -> list[Item]:
        """List a dataset; an absent one gives none where that is allowed, an incomplete one is noted."""
        try:
            items = self.listing(name, self.root, cache_dir=self.cache_dir)
        except DatasetMissing as error:
            if not self.allow_missing:
                raise error.advised() from None
            self.missing[name] = error.reason
            return []
        expected = dataset_info(name).expected
        if expected and len(items) != expected:
            self.note_partial(name, f"{len(items)} of {expected} images")
        return items

    def note_partial(self, name: str, what: str) -> None:
        """Record that a dataset is incomplete; under published lists it is refused unless that was allowed."""
        if self.published and not self.allow_missing:
            where = dataset_info(name).source
            raise BenchError(
                f"dataset {name!r} is incomplete: {what}; get the rest from {where}, or pass --allow-missing to take "
                "what is there (the scores will not be comparable)"
            )
        self.partial[name] = what


def hold_out(plan: Draft, items: list[Item]) -> None:
    """Take a tenth of training items, dataset by dataset, as validation; the rest trains."""
    held: set[Item] = set()
    for name in dict.fromkeys(item.dataset for item in items):
        members = [item for item in items if item.dataset == name]
        held.update(rank(plan.seed, members)[: int(_VAL_SHARE * len(members) + 0.5)])
    plan.train += [item for item in items if item not in held]
    plan.val += [item for item in items if item in held]


def hold_out_groups(plan: Draft, items: list[Item], *, tested: Collection[str] = ()) -> dict[str, Items]:
    """Take about a tenth of training items as validation, dataset by dataset, groups whole; the rest trains.

    Of the datasets in ``tested`` another tenth is taken; returned by dataset, for a test.
    """
    sides: dict[str, str] = {}
    for name in dict.fromkeys(item.dataset for item in items):
        sizes = Counter(item.group for item in items if item.dataset == name)
        folds = deal_groups(plan.seed, sizes, 10, {})
        filled: Counter[int] = Counter()
        for group, fold in folds.items():
            filled[fold] += sizes[group]
        least = [fold for _, fold in sorted((num, fold) for fold, num in filled.items())]
        held = least[0] if len(least) > 1 else None
        other = least[1] if len(least) > 2 and name in tested else None
        for group, fold in folds.items():
            sides.setdefault(group, "val" if fold == held else "test" if fold == other else "train")
    plan.train += [item for item in items if sides[item.group] == "train"]
    plan.val += [item for item in items if sides[item.group] == "val"]
    test = {name: tuple(i for i in items if i.dataset == name and sides[i.group] == "test") for name in tested}
    return {name: taken for name, taken in test.items() if taken}
