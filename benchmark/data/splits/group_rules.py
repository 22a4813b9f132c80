"""Splits by group, part or list: ``grouped``, ``official``, ``kfold:K:FOLD``, ``leave-out:PART``, folders of lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmark.data.listing.datasets import SEEN, dataset_info
from benchmark.data.listing.items import Item
from benchmark.data.splits.draft import WHOLLY_TEST, Draft, Rule, hold_out, hold_out_groups
from benchmark.data.splits.lists import read_lists
from benchmark.data.splits.partition import cut_groups, deal_groups
from benchmark.errors import BenchError

GROUPED = frozenset({"kvasir", "clinicdb", "colondb", "cvc300", "endoscene", "etis"})
"""Sets whose sequences or duplicates are known (or that are never divided); the others' are found by an audit."""


def grouped(plan: Draft, names: list[str]) -> None:
    """As ``paper``, but sequences and duplicates stay on one side.

    CVC-ColonDB's sequences are not published, so it is not divided: all of it tests, and CVC-300, a part of it,
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


def official(plan: Draft, names: list[str]) -> None:
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
            hold_out_groups(plan, train)
        rest = tuple(item for item in items if item.part not in ("train", "validation"))
        if rest:
            plan.tests[name] = rest


def kfold(folds: int, fold: int) -> Rule:
    """Fold ``fold`` of ``folds`` tests, a tenth of the rest validates; groups stay whole, as under ``grouped``."""

    def rule(plan: Draft, names: list[str]) -> None:
        found = _merge_by_audit(plan, {name: plan.items(name) for name in names})
        fold_of: dict[str, int] = {}
        for name in sorted(found):
            fold_of |= deal_groups(plan.seed, Counter(item.group for item in found[name]), folds, fold_of)
        hold_out_groups(plan, [item for items in found.values() for item in items if fold_of[item.group] != fold - 1])
        for name, items in found.items():
            test = tuple(item for item in items if fold_of[item.group] == fold - 1)
            if test:
                plan.tests[name] = test

    return rule


def leave_out(part: str) -> Rule:
    """Images of one part (a centre, a modality) test, wherever it stands; a tenth of the others validates.

    Of each dataset that has the part another tenth of the other parts' images tests as ``<dataset>-seen``, so that a
    table can say what a network loses on a centre that it has not seen.
    """

    def rule(plan: Draft, names: list[str]) -> None:
        found = _merge_by_audit(plan, {name: plan.items(name) for name in names})
        every = [item for items in found.values() for item in items]
        parts = sorted({item.part for item in every if item.part})
        if part not in parts:
            known = f"known are {', '.join(parts)}" if parts else "these datasets come without parts"
            raise BenchError(f"split leave-out:{part}: no image has the part {part!r}: {known}")
        tested = {item.group for item in every if item.part == part}
        with_part = {name for name, items in found.items() if any(item.part == part for item in items)}
        rest = [item for item in every if item.group not in tested]
        seen = hold_out_groups(plan, rest, tested=[name for name in found if name in with_part])
        for name in (name for name in found if name in with_part):
            plan.tests[name] = tuple(item for item in found[name] if item.part == part)
            if name in seen:
                plan.tests[f"{name}{SEEN}"] = seen[name]

    return rule


def from_lists(folder: Path) -> Rule:
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
            hold_out(plan, parts["train"])
        taken = {*plan.train, *plan.val}
        tests = parts["test"] or [item for item in every if item not in taken]
        for name in names:
            chosen = tuple(item for item in tests if item.dataset == name)
            if chosen:
                plan.tests[name] = chosen

    return rule
