"""Every way to divide datasets, by name."""

from __future__ import annotations

import re

from benchmark.data.splits.draft import Rule
from benchmark.data.splits.group_rules import from_lists, grouped, kfold, leave_out, official
from benchmark.data.splits.lists import list_folder
from benchmark.data.splits.published_rules import paper, paper_skin, pranet
from benchmark.errors import BenchError, unknown_name

SPLITS: dict[str, Rule] = {
    "paper": paper,
    "grouped": grouped,
    "pranet": pranet,
    "paper-skin": paper_skin,
    "official": official,
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
        return kfold(*_fold(name, detail))
    if kind == "leave-out" and detail:
        return leave_out(detail)
    folder = list_folder(name)
    if folder is not None:
        return from_lists(folder)
    raise unknown_name("split", name, [*SPLITS, *FORMS])


def all_folds(name: str) -> list[str]:
    """Return the folds that ``kfold:K`` stands for; any other split alone."""
    numbers = re.fullmatch(r"kfold:(\d{1,3})", name)
    if numbers is None or not 2 <= int(numbers[1]) <= _MAX_FOLDS:
        return [name]
    return [f"{name}:{fold}" for fold in range(1, int(numbers[1]) + 1)]


def _fold(name: str, detail: str) -> tuple[int, int]:
    numbers = re.fullmatch(r"(\d{1,3})(?::(\d{1,3}))?", detail)
    folds = int(numbers[1]) if numbers else 0
    if numbers is None or not 2 <= folds <= _MAX_FOLDS:
        raise BenchError(f"split {name}: expected kfold:K:FOLD, for example kfold:5:1 to kfold:5:5")
    if not numbers[2]:
        raise BenchError(
            f"split {name}: say which fold tests, kfold:{folds}:1 to kfold:{folds}:{folds}; "
            "bench run alone takes all of them in turn"
        )
    fold = int(numbers[2])
    if not 1 <= fold <= folds:
        raise BenchError(f"split {name}: fold {fold} is none of 1 to {folds}")
    return folds, fold
