"""Splits that papers use: at random (``paper``), PraNet's lists (``pranet``), the skin challenges (``paper-skin``)."""

from __future__ import annotations

from benchmark.data.listing.items import Item
from benchmark.data.listing.published import published_ids
from benchmark.data.splits.draft import WHOLLY_TEST, Draft, hold_out
from benchmark.data.splits.partition import cut
from benchmark.errors import BenchError

SKIN_TRAINING_FIRST = ("isic2018", "isic2016", "ph2")
"""Which copy of an image trains where two sets hold it: the first of these."""

PRANET_TESTS = ("kvasir", "clinicdb", "colondb", "etis", "cvc300")


def paper(plan: Draft, names: list[str]) -> None:
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


def pranet(plan: Draft, names: list[str]) -> None:
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
    hold_out(plan, training)


def _listed(plan: Draft, name: str, part: str, items: dict[str, Item]) -> list[Item]:
    """Return the items of a published list; without a list everything is test."""
    if name in ("colondb", "etis"):
        return list(items.values()) if part == "test" else []
    ids = published_ids(name, part)
    absent = [i for i in ids if i not in items]
    if absent and items and name not in plan.partial:
        plan.note_partial(name, f"{len(ids) - len(absent)} of the {len(ids)} listed for {part}")
    return [items[i] for i in ids if i in items]


def paper_skin(plan: Draft, names: list[str]) -> None:
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
    hold_out(plan, list(in_order.values()))
