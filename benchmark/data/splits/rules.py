"""The named ways to divide datasets: who trains, who validates, who tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.data.listing.datasets import dataset_info, list_dataset
from benchmark.data.listing.items import DatasetMissing, Item
from benchmark.data.listing.published import published_ids
from benchmark.data.splits.lists import list_folder, read_lists
from benchmark.data.splits.partition import Items, cut, cut_groups, deal_groups, rank
from benchmark.errors import BenchError, unknown_name

WHOLLY_TEST = frozenset({"etis", "phantom-etis", "cvc300", "ph2", "hyperkvasir-normal", "kvasir-sessile"})
"""Sets that are never trained on under split ``paper``."""

SKIN_TRAINING_FIRST = ("isic2018", "isic2016", "ph2")
"""Which copy of an image trains where two sets hold it: the first of these."""

GROUPED = frozenset({"kvasir", "clinicdb", "colondb", "cvc300", "endoscene", "etis"})
"""Sets whose sequences or duplicates are known (or that are never divided); the others' are found by an audit."""

Listing = Callable[..., list[Item]]
"""How a dataset becomes items: (name, root, *, cache_dir); ``list_dataset``, or ``stand_ins.list_or_count``."""

Rule = Callable[["Draft", list[str]], None]
"""Fills a draft with the items of the datasets named."""

PRANET_TESTS = ("kvasir", "clinicdb", "colondb", "etis", "cvc300")
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


def _hold_out(plan: Draft, items: list[Item]) -> None:
    """Take a tenth of training items, dataset by dataset, as validation; the rest trains."""
    held: set[Item] = set()
    for name in dict.fromkeys(item.dataset for item in items):
        members = [item for item in items if item.dataset == name]
        held.update(rank(plan.seed, members)[: int(_VAL_SHARE * len(members) + 0.5)])
    plan.train += [item for item in items if item not in held]
    plan.val += [item for item in items if item in held]


def _paper(plan: Draft, names: list[str]) -> None:
    """7:1:2 at random inside each set, training and validation pooled; ETIS wholly test."""
    for name in names:
        items = plan.items(name)
        if not items:
            continue
        if name in WHOLLY_TEST:
            plan.tests[name] = tuple(items)
            continue
        train, val, test = cut(plan.seed, items)
        plan.train += train
        plan.val += val
        plan.tests[name] = tuple(test)


def _grouped(plan: Draft, names: list[str]) -> None:
    """As ``paper``, but sequences and duplicates stay on one side.

    CVC-ColonDB's sequences are not published, so it is not divided: it tests wholly, and CVC-300, which lies in it,
    with it.
    """
    found = _merge_by_audit(plan, {name: plan.items(name) for name in names})
    sides: dict[str, str] = {}
    for name in sorted(found):
        free = [item for item in found[name] if not item.group.startswith("colondb-")]
        if name in WHOLLY_TEST:
            sides.update({item.group: "test" for item in free})
    for name in sorted(found):
        cut_groups(plan.seed, [item for item in found[name] if not item.group.startswith("colondb-")], sides)
    for name, items in found.items():
        plan.train += [item for item in items if sides.get(item.group) == "train"]
        plan.val += [item for item in items if sides.get(item.group) == "val"]
        test = tuple(item for item in items if sides.get(item.group, "test") == "test")
        if test:
            plan.tests[name] = test


def _merge_by_audit(plan: Draft, found: dict[str, list[Item]]) -> dict[str, list[Item]]:
    """Give the look-alikes of datasets whose groups are not published one group, found by looking at the images."""
    from benchmark.data.twins.find import merge_groups

    unknown = [name for name in found if not (name in GROUPED or dataset_info(name).synthetic)]
    unknown = [name for name in unknown if not any(item.is_stand_in for item in found[name])]
    merged = merge_groups([item for name in unknown for item in found[name]], cache_dir=plan.cache_dir)
    return {name: [merged.get(item, item) for item in items] for name, items in found.items()}


def _pranet(plan: Draft, names: list[str]) -> None:
    """The published lists: 900 of Kvasir and 550 of ClinicDB train, a tenth of them held out for validation."""
    wanted = {part for name in names for part in (("clinicdb", "cvc300") if name == "endoscene" else (name,))}
    for name in sorted(wanted - set(PRANET_TESTS)):
        raise BenchError(
            f"split 'pranet' has no list for dataset {name!r}: expected polyp or some of {', '.join(PRANET_TESTS)}; "
            "take --split paper for others"
        )
    training: list[Item] = []
    for name in PRANET_TESTS:
        if name not in wanted and name not in ("kvasir", "clinicdb"):
            continue
        items = {item.id: item for item in plan.items(name)}
        train, test = (_listed(plan, name, part, items) for part in ("train", "test"))
        training += train
        if items and name in wanted:
            plan.tests[name] = tuple(test)
    _hold_out(plan, training)


def _listed(plan: Draft, name: str, part: str, items: dict[str, Item]) -> list[Item]:
    """Return the items of a published list; without a list everything is test."""
    if name in ("colondb", "etis"):
        return list(items.values()) if part == "test" else []
    ids = published_ids(name, part)
    absent = [i for i in ids if i not in items]
    if absent and items and name not in plan.partial:
        plan.note_partial(name, f"{len(ids) - len(absent)} of the {len(ids)} listed for {part}")
    return [items[i] for i in ids if i in items]


def _paper_skin(plan: Draft, names: list[str]) -> None:
    """ISIC 2016's and 2018's training parts train, a tenth held out; PH2 and the remaining images test.

    The challenges draw on one archive, and many images are in both. By their ISIC ids: what tests does not train, and
    what both training sets hold trains once, with the mask of ISIC 2018.
    """
    for name in names:
        if name not in SKIN_TRAINING_FIRST:
            raise BenchError(f"split 'paper-skin' has no dataset {name!r}: expected skin, isic2016, isic2018 or ph2")
    found = {name: plan.items(name) for name in names}
    for name, items in found.items():
        rest = tuple(item for item in items if item.part != "train")
        if rest:
            plan.tests[name] = rest
    tested = {item.group for items in plan.tests.values() for item in items}
    training: dict[str, Item] = {}
    for name in sorted(found, key=SKIN_TRAINING_FIRST.index):
        own = [item for item in found[name] if item.part == "train"]
        left_out = sum(item.group in tested for item in own)
        twice = sum(item.group in training for item in own)
        training.update({item.group: item for item in own if item.group not in tested | training.keys()})
        notes = [f"{left_out} of {len(own)} training images also test and do not train"] if left_out else []
        notes += [f"{twice} of {len(own)} training images stand in isic2018 too and train once"] if twice else []
        if notes:
            plan.partial[name] = "; ".join([*filter(None, [plan.partial.get(name)]), *notes])
    in_order = {item.group: item for name in names for item in found[name] if training.get(item.group) is item}
    _hold_out(plan, list(in_order.values()))


def _from_lists(folder: Path) -> Rule:
    """Return the rule of a folder of lists.

    Without ``val.txt`` a tenth of the training images is held out, without ``test.txt`` what no list names tests.
    """

    def rule(plan: Draft, names: list[str]) -> None:
        found = {name: plan.items(name) for name in names}
        every = [item for items in found.values() for item in items]
        parts = read_lists(folder, every, allow_missing=plan.allow_missing)
        if parts["val"]:
            plan.train, plan.val = parts["train"], parts["val"]
        else:
            _hold_out(plan, parts["train"])
        taken = {*plan.train, *plan.val}
        tests = parts["test"] or [item for item in every if item not in taken]
        for name in names:
            chosen = tuple(item for item in tests if item.dataset == name)
            if chosen:
                plan.tests[name] = chosen

    return rule


def _official(plan: Draft, names: list[str]) -> None:
    """The parts that a publisher names: what is called train trains, validation validates, the rest tests.

    Without published validation images a tenth of the training images is held out, groups whole.
    """
    for name in names:
        items = plan.items(name)
        train, val = ([item for item in items if item.part == part] for part in ("train", "validation"))
        if items and not train and not val and name not in WHOLLY_TEST:
            raise BenchError(
                f"split 'official': dataset {name!r} comes without parts; take --split grouped or a folder of lists"
            )
        if val:
            plan.train += train
            plan.val += val
        else:
            _hold_out_groups(plan, train)
        rest = tuple(item for item in items if item.part not in ("train", "validation"))
        if rest:
            plan.tests[name] = rest


def _hold_out_groups(plan: Draft, items: list[Item]) -> None:
    """Take about a tenth of training items as validation, dataset by dataset, groups whole; the rest trains."""
    sides: dict[str, str] = {}
    for name in dict.fromkeys(item.dataset for item in items):
        sizes = Counter(item.group for item in items if item.dataset == name)
        folds = deal_groups(plan.seed, sizes, 10, {})
        filled: Counter[int] = Counter()
        for group, fold in folds.items():
            filled[fold] += sizes[group]
        held = min((num, fold) for fold, num in filled.items())[1] if len(filled) > 1 else None
        for group, fold in folds.items():
            sides.setdefault(group, "val" if fold == held else "train")
    plan.train += [item for item in items if sides[item.group] == "train"]
    plan.val += [item for item in items if sides[item.group] == "val"]


def _kfold(folds: int, fold: int) -> Rule:
    """Fold ``fold`` of ``folds`` tests, a tenth of the rest validates; groups stay whole, as under ``grouped``."""

    def rule(plan: Draft, names: list[str]) -> None:
        found = _merge_by_audit(plan, {name: plan.items(name) for name in names})
        fold_of: dict[str, int] = {}
        for name in sorted(found):
            fold_of |= deal_groups(plan.seed, Counter(item.group for item in found[name]), folds, fold_of)
        _hold_out_groups(plan, [item for items in found.values() for item in items if fold_of[item.group] != fold - 1])
        for name, items in found.items():
            test = tuple(item for item in items if fold_of[item.group] == fold - 1)
            if test:
                plan.tests[name] = test

    return rule


def _leave_out(part: str) -> Rule:
    """Images of one part (a centre, a modality) test, wherever it stands; a tenth of the others validates."""

    def rule(plan: Draft, names: list[str]) -> None:
        found = _merge_by_audit(plan, {name: plan.items(name) for name in names})
        every = [item for items in found.values() for item in items]
        parts = sorted({item.part for item in every if item.part})
        if part not in parts:
            known = f"known are {', '.join(parts)}" if parts else "these datasets come without parts"
            raise BenchError(f"split leave-out:{part}: no image has the part {part!r}: {known}")
        tested = {item.group for item in every if item.part == part}
        _hold_out_groups(plan, [item for item in every if item.group not in tested])
        for name, items in found.items():
            test = tuple(item for item in items if item.part == part)
            if test:
                plan.tests[name] = test

    return rule


SPLITS: dict[str, Rule] = {
    "paper": _paper,
    "grouped": _grouped,
    "pranet": _pranet,
    "paper-skin": _paper_skin,
    "official": _official,
}
"""Every split by name."""


FORMS = ("kfold:K:FOLD", "leave-out:PART", "DIR with train.txt", "FILE.json")
"""Further forms of a split's name."""

_MAX_FOLDS = 100


def rule_named(name: str) -> Rule:
    """Return the rule that a split's name stands for.

    Raises:
        BenchError: An unknown name, or a fold that is none.
    """
    if name in SPLITS:
        return SPLITS[name]
    kind, _, detail = name.partition(":")
    if kind == "kfold":
        return _kfold(*_fold(name, detail))
    if kind == "leave-out" and detail:
        return _leave_out(detail)
    folder = list_folder(name)
    if folder is not None:
        return _from_lists(folder)
    raise unknown_name("split", name, [*SPLITS, *FORMS])


def _fold(name: str, detail: str) -> tuple[int, int]:
    numbers = re.fullmatch(r"(\d{1,3})(?::(\d{1,3}))?", detail)
    folds = int(numbers[1]) if numbers else 0
    if numbers is None or not 2 <= folds <= _MAX_FOLDS:
        raise BenchError(f"split {name}: expected kfold:K:FOLD, for example kfold:5:1 to kfold:5:5")
    if not numbers[2]:
        raise BenchError(f"split {name}: say which fold tests, kfold:{folds}:1 to kfold:{folds}:{folds}; run each")
    fold = int(numbers[2])
    if not 1 <= fold <= folds:
        raise BenchError(f"split {name}: fold {fold} is none of 1 to {folds}")
    return folds, fold
