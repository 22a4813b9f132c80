"""Which records may stand in one table: one protocol, one recipe, one split, the same test images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from benchmark.config import load_recipe, recipe_names
from benchmark.errors import BenchError
from benchmark.report.records.names import dataset_title

RecordDict = Mapping[str, Any]


def check_records(records: Sequence[RecordDict]) -> None:
    """Refuse an empty list of records.

    Raises:
        BenchError: There is none.
    """
    if not records:
        raise BenchError("no results to tabulate: the folder holds no record; run 'bench run' first or pass --results")


def is_foreign(record: RecordDict) -> bool:
    """Return whether others made the maps, outside this harness: no recipe or split of ours applies."""
    return bool(record.get("origin"))


def concerning(records: Sequence[RecordDict], dataset: str) -> list[RecordDict]:
    """Return the records that belong to the table of a test set.

    These are the ones that scored it or say why they could not, and cells of the same split that failed
    before they came to any test set.
    """
    named = [r for r in records if dataset in (r.get("tests") or {}) or dataset in (r.get("missing") or {})]
    splits = {split_label(r) for r in named if not is_foreign(r)}
    return [r for r in records if r in named or (_is_bare(r) and split_label(r) in splits)]


def _is_bare(record: RecordDict) -> bool:
    return not (record.get("tests") or record.get("missing") or is_foreign(record))


@lru_cache(maxsize=512)
def _packaged(name: str, model: str) -> str | None:
    """Return the packaged recipe as JSON text, None for a recipe from a file of the user's own."""
    if name not in recipe_names():
        return None
    return json.dumps(load_recipe(name, model=model).model_dump(mode="json"))


def recipe_label(record: RecordDict) -> str:
    """Return ``quick``, or ``quick[epochs=5]`` where fields were set on the command line.

    A recipe may give each model its own fields, so hashes differ between models that share a recipe. What
    must be equal is the name and what was changed from the packaged file.
    """
    name = str(record.get("recipe_name") or "")
    text = _packaged(name, str(record.get("model")))
    if text is None:
        return name
    base = json.loads(text)
    fields = record.get("recipe") or {}
    changed = {k: v for k, v in fields.items() if k in base and k != "name" and base[k] != v}
    inside = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(changed.items()))
    return f"{name}[{inside}]" if inside else name


def split_label(record: RecordDict) -> str:
    """Return ``paper:0:1a2b3c4d``: name, seed and the fingerprint of the training images."""
    split = record.get("split") or {}
    parts = [
        str(split.get("name", "")),
        str(split.get("seed", "")),
        str(split.get("fingerprint_train", ""))[:8],
    ]
    return ":".join(parts)


def matches_recipe(record: RecordDict, wanted: str) -> bool:
    """Return whether ``wanted`` is the record's recipe name, its label, its hash, or ``name-hash``."""
    name, digest = str(record.get("recipe_name") or ""), str(record.get("recipe_hash") or "")
    return wanted in (name, recipe_label(record), digest, f"{name}-{digest[:8]}")


def matches_split(record: RecordDict, wanted: str) -> bool:
    """Return whether ``wanted`` is the split label or its leading parts, such as ``paper`` or ``paper:0``."""
    label = split_label(record)
    return label == wanted or label.startswith(f"{wanted}:")


def choose(records: Sequence[RecordDict], *, recipe: str | None, split: str | None) -> list[RecordDict]:
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
    records: Sequence[RecordDict], label: Callable[[RecordDict], str], *, what: str, option: str, dataset: str
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


def check_comparable(records: Sequence[RecordDict], dataset: str, protocol: str) -> None:
    """Refuse records that cannot share the table of ``dataset``.

    Raises:
        BenchError: They differ in split, recipe, protocol version or test images, or one cell is there twice.
    """
    require_one(records, split_label, what="splits", option="--split", dataset=dataset)
    require_one(records, recipe_label, what="recipes", option="--recipe", dataset=dataset)
    _check_protocol(records, dataset, protocol)
    _check_images(records, dataset)
    _check_twice(records, dataset)


def _check_protocol(records: Sequence[RecordDict], dataset: str, protocol: str) -> None:
    hashes: dict[str, str] = {}
    for record in records:
        digest = (record.get("protocols") or {}).get(protocol)
        if digest and dataset in (record.get("tests") or {}):
            hashes.setdefault(str(digest), str(record.get("cell")))
    if len(hashes) > 1:
        shown = ", ".join(f"{digest[:8]} ({cell})" for digest, cell in sorted(hashes.items()))
        raise BenchError(
            f"{dataset}: protocol {protocol!r} was scored in {len(hashes)} versions, which cannot share a "
            f"table: {shown}; run the older cells again (--if-exists overwrite) or choose another with --protocol"
        )


def _check_images(records: Sequence[RecordDict], dataset: str) -> None:
    prints: dict[str, str] = {}
    for record in records:
        test = (record.get("tests") or {}).get(dataset)
        if test and not is_foreign(record):
            prints.setdefault(str(test.get("fingerprint")), f"{test.get('n')} images in {record.get('cell')}")
    if len(prints) > 1:
        raise BenchError(
            f"{dataset}: scored on different images ({', '.join(sorted(prints.values()))}), so the rows "
            "cannot share a table; run the cells again on the same images (--if-exists overwrite), or choose with "
            "--split or --recipe"
        )


def newest(records: Sequence[RecordDict]) -> tuple[list[RecordDict], dict[str, list[str]]]:
    """Keep the newest of the records that differ in nothing but the code that made them.

    Returns:
        The records kept, in order, and by model the cells left out.
    """
    best: dict[str, RecordDict] = {}
    dropped: dict[str, list[str]] = {}
    for record in records:
        key = json.dumps([record.get(name) for name in _SAME_CELL] + [is_foreign(record)], sort_keys=True)
        older, best[key] = sorted((best.get(key, record), record), key=_age)
        if older is not best[key]:
            dropped.setdefault(str(record["model"]), []).append(str(older.get("cell")))
    kept = [record for record in records if any(record is one for one in best.values())]
    return kept, dropped


_SAME_CELL = ("model", "model_options", "ablation", "recipe_name", "recipe_hash", "split", "seed")


def _age(record: RecordDict) -> tuple[bool, str]:
    """A finished cell goes before an unfinished one, then the later one."""
    return record.get("status") == "ok", str(record.get("created") or "")


def _check_twice(records: Sequence[RecordDict], dataset: str) -> None:
    seen: dict[tuple[Any, ...], str] = {}
    for record in records:
        key = (
            record.get("model"),
            tuple(record.get("ablation") or ()),
            record.get("seed"),
            is_foreign(record),
        )
        if key in seen:
            raise BenchError(
                f"{dataset}: two records of {record.get('model')} with seed {record.get('seed')}: "
                f"{seen[key]} and {record.get('cell')}; choose one with --recipe {record.get('recipe_name')}-HASH"
            )
        seen[key] = str(record.get("cell"))


def group_studies(records: Sequence[RecordDict]) -> dict[tuple[str, str], list[RecordDict]]:
    """Group records by (split label, recipe label): what may stand in one table; maps by others join every group."""
    foreign = [r for r in records if is_foreign(r)]
    groups: dict[tuple[str, str], list[RecordDict]] = {}
    for record in records:
        if not is_foreign(record):
            groups.setdefault((split_label(record), recipe_label(record)), []).append(record)
    if not groups:
        return {("", ""): foreign} if foreign else {}
    return {key: [*group, *foreign] for key, group in sorted(groups.items())}


def set_title(records: Sequence[Mapping[str, Any]], dataset: str) -> str:
    """The printed name of a test set, from a record that scored it."""
    recorded = next((str(r["tests"][dataset]["title"]) for r in records if dataset in (r.get("tests") or {})), None)
    return dataset_title(dataset, recorded)
