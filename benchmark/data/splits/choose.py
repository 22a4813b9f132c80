"""Who trains, who validates, who tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.data.listing.datasets import dataset_info, expand_datasets, list_dataset
from benchmark.data.listing.items import DatasetMissing, Item
from benchmark.data.listing.published import published_ids
from benchmark.data.splits.files import load_split, save_split
from benchmark.data.splits.partition import Items, Split, cut, cut_groups, rank
from benchmark.errors import BenchError, unknown_name

__all__ = ["SPLITS", "Split", "load_split", "make_split", "obtain_split", "save_split"]

WHOLLY_TEST = frozenset({"etis", "phantom-etis", "cvc300", "ph2"})
"""Sets that are never trained on under split ``paper``."""

SKIN_TRAINING_FIRST = ("isic2018", "isic2016", "ph2")
"""Which copy of an image trains where two sets hold it: the first of these."""

GROUPED = frozenset({"kvasir", "clinicdb", "colondb", "cvc300", "endoscene", "etis"})
"""Sets whose sequences or duplicates are known (or that are never divided); the others' are found by an audit."""

Listing = Callable[..., list[Item]]
"""How a dataset becomes items: (name, root, *, cache_dir); ``list_dataset``, or ``stand_ins.list_or_count``."""

PRANET_TESTS = ("kvasir", "clinicdb", "colondb", "etis", "cvc300")
_VAL_SHARE = 0.1


@dataclass
class _Plan:
    """A split under construction."""

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


def _hold_out(plan: _Plan, items: list[Item]) -> None:
    """Take a tenth of training items, dataset by dataset, as validation; the rest trains."""
    held: set[Item] = set()
    for name in dict.fromkeys(item.dataset for item in items):
        members = [item for item in items if item.dataset == name]
        held.update(rank(plan.seed, members)[: int(_VAL_SHARE * len(members) + 0.5)])
    plan.train += [item for item in items if item not in held]
    plan.val += [item for item in items if item in held]


def _paper(plan: _Plan, names: list[str]) -> None:
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


def _grouped(plan: _Plan, names: list[str]) -> None:
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


def _merge_by_audit(plan: _Plan, found: dict[str, list[Item]]) -> dict[str, list[Item]]:
    """Give the look-alikes of datasets whose groups are not published one group, found by looking at the images."""
    from benchmark.data.twins.find import merge_groups

    unknown = [name for name in found if not (name in GROUPED or dataset_info(name).synthetic)]
    unknown = [name for name in unknown if not any(item.is_stand_in for item in found[name])]
    merged = merge_groups([item for name in unknown for item in found[name]], cache_dir=plan.cache_dir)
    return {name: [merged.get(item, item) for item in items] for name, items in found.items()}


def _pranet(plan: _Plan, names: list[str]) -> None:
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


def _listed(plan: _Plan, name: str, part: str, items: dict[str, Item]) -> list[Item]:
    """Return the items of a published list; without a list everything is test."""
    if name in ("colondb", "etis"):
        return list(items.values()) if part == "test" else []
    ids = published_ids(name, part)
    absent = [i for i in ids if i not in items]
    if absent and items and name not in plan.partial:
        plan.note_partial(name, f"{len(ids) - len(absent)} of the {len(ids)} listed for {part}")
    return [items[i] for i in ids if i in items]


def _paper_skin(plan: _Plan, names: list[str]) -> None:
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


SPLITS: dict[str, Callable[[_Plan, list[str]], None]] = {
    "paper": _paper,
    "grouped": _grouped,
    "pranet": _pranet,
    "paper-skin": _paper_skin,
}
"""Every split by name."""


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
        name: One of ``SPLITS``.
        datasets: Names or groups. Under ``pranet`` ``endoscene`` (and so ``polyp``) means its parts, and Kvasir and
            ClinicDB train whatever is tested.
        root: Data root; None takes BENCH_DATA_ROOT.
        seed: Decides every random choice.
        allow_missing: Go on without absent datasets, and under published lists with incomplete ones as they are.
            A split drawn at random takes an incomplete dataset as it is and notes it in ``partial``.
        cache_dir: Where phantom images are written; None for the user's cache folder.
        listing: How a dataset becomes items.
    Raises:
        DatasetMissing: For an absent dataset, unless allowed.
        BenchError: For an unknown split or dataset, an incomplete dataset (unless allowed), real images mixed with
            synthetic ones, or when nothing is left to train or to test on.
    """
    if name not in SPLITS:
        raise unknown_name("split", name, SPLITS)
    names = expand_datasets(datasets, root)
    if len({dataset_info(n).synthetic for n in names}) > 1:
        raise BenchError("phantom (synthetic) and real datasets cannot share a split: run them one after the other")
    plan = _Plan(seed, root, cache_dir, allow_missing, name == "pranet", listing)
    SPLITS[name](plan, names)
    _require_images(name, names, plan)
    return Split(name, seed, tuple(plan.train), tuple(plan.val), plan.tests, plan.missing, plan.partial)


def _require_images(name: str, names: list[str], plan: _Plan) -> None:
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
        name: One of ``SPLITS``, or the path of a split file (``*.json``), which then decides datasets and seed.
        datasets: As for ``make_split``; with a file only manifests among them matter, which say what its names mean.
        root: Data root; None takes BENCH_DATA_ROOT.
        seed: Decides every random choice.
        allow_missing: As for ``make_split`` and ``load_split``.
        cache_dir: Where phantom images are written.
    Raises:
        BenchError: See ``make_split`` and ``load_split``.
    """
    if name.endswith(".json") or "/" in name:
        expand_datasets([one for one in datasets if one.endswith(".toml")], root)
        return load_split(Path(name), root=root, allow_missing=allow_missing, cache_dir=cache_dir)
    return make_split(name, datasets, root=root, seed=seed, allow_missing=allow_missing, cache_dir=cache_dir)
