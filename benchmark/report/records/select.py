"""Which records may stand in one table: one protocol, one recipe, one split, the same test images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from benchmark.config import load_recipe, recipe_names
from benchmark.errors import BenchError
from benchmark.report.records.names import dataset_title
from benchmark.store.schema import Record


def check_records(records: Sequence[Record]) -> None:
    """Refuse an empty list of records.

    Raises:
        BenchError: There is none.
    """
    if not records:
        raise BenchError("no results to tabulate: the folder holds no record; run 'bench run' first or pass --results")


def is_foreign(record: Record) -> bool:
    """Return whether others made the maps, outside this harness: no recipe or split of ours applies."""
    return bool(record.origin)


def concerning(records: Sequence[Record], dataset: str) -> list[Record]:
    """Return the records that belong to the table of a test set.

    These are the ones that scored it or say why they could not, and cells of the same split that failed
    before they came to any test set.
    """
    named = [r for r in records if dataset in r.tests or dataset in r.missing]
    splits = {split_label(r) for r in named if not is_foreign(r)}
    return [r for r in records if r in named or (_is_bare(r) and split_label(r) in splits)]


def _is_bare(record: Record) -> bool:
    return not (record.tests or record.missing or is_foreign(record))


@lru_cache(maxsize=512)
def _packaged(name: str, model: str) -> str | None:
    """Return the packaged recipe as JSON text, None for a recipe from a file of the user's own."""
    if name not in recipe_names():
        return None
    return json.dumps(load_recipe(name, model=model).model_dump(mode="json"))


def recipe_label(record: Record) -> str:
    """Return ``quick``, or ``quick[epochs=5]`` where fields were set on the command line.

    A recipe may give each model its own fields, so hashes differ between models that share a recipe. What
    must be equal is the name and what was changed from the packaged file.
    """
    name = record.recipe_name
    text = _packaged(name, record.model)
    if text is None:
        return name
    base = json.loads(text)
    fields = record.recipe
    changed = {k: v for k, v in fields.items() if k in base and k != "name" and base[k] != v}
    inside = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(changed.items()))
    return f"{name}[{inside}]" if inside else name


def split_label(record: Record) -> str:
    """Return ``paper:0:1a2b3c4d``: name, seed and the fingerprint of the training images."""
    split = record.split
    return f"{split.name}:{split.seed}:{split.fingerprint_train[:8]}"


def matches_recipe(record: Record, wanted: str) -> bool:
    """Return whether ``wanted`` is the record's recipe name, its label, its hash, or ``name-hash``."""
    name, digest = record.recipe_name, record.recipe_hash
    return wanted in (name, recipe_label(record), digest, f"{name}-{digest[:8]}")


def matches_split(record: Record, wanted: str) -> bool:
    """Return whether ``wanted`` is the split label or its leading parts, such as ``paper`` or ``paper:0``."""
    label = split_label(record)
    return label == wanted or label.startswith(f"{wanted}:")


def choose(records: Sequence[Record], *, recipe: str | None, split: str | None) -> list[Record]:
    """Keep the records of the wanted recipe and split; maps made by others pass.

    Raises:
        BenchError: Nothing is left; the message lists what there is.
    """
    kept = list(records)
    for option, wanted, match, label in (
        ("recipe", recipe, matches_recipe, recipe_label),
        ("split", split, matches_split, split_label),
    ):
        if wanted is None:
            continue
        exact = [r for r in kept if is_foreign(r) or label(r) == wanted]
        loose = [r for r in kept if is_foreign(r) or match(r, wanted)]
        known = sorted({label(r) for r in kept if not is_foreign(r)})
        kept = exact if any(not is_foreign(r) for r in exact) else loose
        if all(is_foreign(r) for r in kept):
            raise BenchError(f"--{option} {wanted}: no record; the results hold {', '.join(known) or 'none'}")
    return kept


def require_one(
    records: Sequence[Record], label: Callable[[Record], str], *, what: str, option: str, dataset: str
) -> None:
    """Refuse records that disagree.

    Raises:
        BenchError: Two labels or more; the message names them and the option that chooses.
    """
    labels = sorted({label(r) for r in records if not is_foreign(r)})
    if len(labels) > 1:
        shown = " and ".join(labels) if len(labels) == 2 else ", ".join(labels)
        raise BenchError(
            f"{dataset}: records of {len(labels)} {what} cannot share a table: {shown}; "
            f"choose one with {option} {labels[0]!r}"
        )


def check_comparable(records: Sequence[Record], dataset: str, protocol: str) -> None:
    """Refuse records that cannot share the table of ``dataset``.

    Raises:
        BenchError: They differ in split, recipe, protocol version or test images, or one cell is there twice.
    """
    require_one(records, split_label, what="splits", option="--split", dataset=dataset)
    require_one(records, recipe_label, what="recipes", option="--recipe", dataset=dataset)
    _check_protocol(records, dataset, protocol)
    _check_images(records, dataset)
    _check_twice(records, dataset)


def _check_protocol(records: Sequence[Record], dataset: str, protocol: str) -> None:
    hashes: dict[str, str] = {}
    for record in records:
        digest = record.protocols.get(protocol)
        if digest and dataset in record.tests:
            hashes.setdefault(str(digest), record.cell)
    if len(hashes) > 1:
        shown = ", ".join(f"{digest[:8]} ({cell})" for digest, cell in sorted(hashes.items()))
        raise BenchError(
            f"{dataset}: protocol {protocol!r} was scored in {len(hashes)} versions, which cannot share a "
            f"table: {shown}; run the older cells again (--if-exists overwrite) or choose another with --protocol"
        )


def _check_images(records: Sequence[Record], dataset: str) -> None:
    prints: dict[str, str] = {}
    for record in records:
        test = record.tests.get(dataset)
        if test and not is_foreign(record):
            prints.setdefault(test.fingerprint, f"{test.n} images in {record.cell}")
    if len(prints) > 1:
        raise BenchError(
            f"{dataset}: scored on different images ({', '.join(sorted(prints.values()))}), so the rows "
            "cannot share a table; run the cells again on the same images (--if-exists overwrite), or choose with "
            "--split or --recipe"
        )


def newest(records: Sequence[Record]) -> tuple[list[Record], dict[str, list[str]]]:
    """Keep the newest of the records that differ in nothing but the code that made them.

    Returns:
        The records kept, in order, and by model the cells left out.
    """
    best: dict[str, Record] = {}
    dropped: dict[str, list[str]] = {}
    for record in records:
        key = json.dumps([_same_cell(record), is_foreign(record)], sort_keys=True)
        older, best[key] = sorted((best.get(key, record), record), key=_age)
        if older is not best[key]:
            dropped.setdefault(record.model, []).append(older.cell)
    kept = [record for record in records if any(record is one for one in best.values())]
    return kept, dropped


def _same_cell(record: Record) -> list[Any]:
    split = record.split.model_dump()
    one = (record.model, record.model_options, record.ablation, record.recipe_name, record.recipe_hash)
    return [*one, split, record.seed]


def _age(record: Record) -> tuple[bool, str]:
    """A finished cell goes before an unfinished one, then the later one."""
    return record.status == "ok", record.created


def _check_twice(records: Sequence[Record], dataset: str) -> None:
    seen: dict[tuple[Any, ...], str] = {}
    for record in records:
        key = (record.model, tuple(record.ablation), record.seed, is_foreign(record))
        if key in seen:
            raise BenchError(
                f"{dataset}: two records of {record.model} with seed {record.seed}: "
                f"{seen[key]} and {record.cell}; choose one with --recipe {record.recipe_name}-HASH"
            )
        seen[key] = record.cell


def group_studies(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """Group records by (split label, recipe label): what may stand in one table; maps by others join every group."""
    foreign = [r for r in records if is_foreign(r)]
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if not is_foreign(record):
            groups.setdefault((split_label(record), recipe_label(record)), []).append(record)
    if not groups:
        return {("", ""): foreign} if foreign else {}
    return {key: [*group, *foreign] for key, group in sorted(groups.items())}


def set_title(records: Sequence[Record], dataset: str) -> str:
    """The printed name of a test set, from a record that scored it."""
    recorded = next((r.tests[dataset].title for r in records if dataset in r.tests), None)
    return dataset_title(dataset, recorded)
