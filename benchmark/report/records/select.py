"""Which records may share a table: one protocol, one recipe, one split, the same test images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from benchmark.errors import BenchError
from benchmark.report.records.identity import RowKey, changed_fields, is_foreign, row_keys, same_cell
from benchmark.report.records.names import dataset_title
from benchmark.store.schema import Record


def check_records(records: Sequence[Record]) -> None:
    """Refuse an empty list of records.

    Raises:
        BenchError: There is none.
    """
    if not records:
        raise BenchError("no results to tabulate: the folder holds no record; run 'bench run' first or pass --results")


def concerning(records: Sequence[Record], dataset: str, protocol: str) -> list[Record]:
    """Return the records that belong to the table of a test set.

    These scored it or give a reason why not, and cells of the same split and recipe that failed
    before any test set. Of external maps that were scored several times, the latest scores count.
    """
    named = [r for r in records if dataset in r.tests or dataset in r.missing]
    bare = any(map(_is_bare, records))
    studies = {(split_label(r), recipe_label(r)) for r in named if not is_foreign(r)} if bare else set()
    wanted = {id(r) for r in named} - {id(r) for r in superseded(records, dataset, protocol)}
    return [r for r in records if id(r) in wanted or (_is_bare(r) and (split_label(r), recipe_label(r)) in studies)]


def superseded(records: Sequence[Record], dataset: str, protocol: str) -> list[Record]:
    """Return the records of external maps that another repeats: same name, origin and test set, scored later."""
    latest: dict[str, Record] = {}
    older = []
    scored = (r for r in records if is_foreign(r) and dataset in r.tests)
    for record in sorted(scored, key=lambda r: (protocol in r.tests[dataset].scores, r.created)):
        key = same_cell(record)
        older += [latest[key]] if key in latest else []
        latest[key] = record
    return older


def _is_bare(record: Record) -> bool:
    return not (record.tests or record.missing or is_foreign(record))


def recipe_label(record: Record) -> str:
    """Return ``quick``, or ``quick[epochs=5]`` where fields were set on the command line.

    A recipe may give each model its own fields, so hashes differ between models that share a recipe. What
    must be equal is the name and the changes to the packaged file.
    """
    changed = changed_fields(record)
    inside = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted((changed or {}).items()))
    return f"{record.recipe_name}[{inside}]" if inside else record.recipe_name


def picked_on(record: Record) -> tuple[str, ...]:
    """Return the test sets whose images selected a record's checkpoint; usually none."""
    kind, _, sets = str(record.recipe.get("select", "")).partition(":")
    return tuple(sets.split("+")) if kind == "test" else ()


def split_label(record: Record) -> str:
    """Return ``paper:0:1a2b3c4d``: name, seed and the fingerprint of the training images."""
    split = record.split
    return f"{split.name}:{split.seed}:{split.fingerprint_train[:8]}"


def matches_recipe(record: Record, wanted: str) -> bool:
    """Return whether ``wanted`` is the record's recipe name, its label, its hash, ``name-hash``, or ``name[field]``.

    The last gives the fields that were changed, whatever their values.
    """
    name, digest = record.recipe_name, record.recipe_hash
    fields = f"{name}[{','.join(sorted(changed_fields(record) or {}))}]"
    return wanted in (name, recipe_label(record), digest, f"{name}-{digest[:8]}", fields)


def matches_split(record: Record, wanted: str) -> bool:
    """Return whether ``wanted`` is the split label or its leading parts, such as ``paper`` or ``paper:0``."""
    label = split_label(record)
    return label == wanted or label.startswith(f"{wanted}:")


def choose(records: Sequence[Record], *, recipe: str | None, split: str | None) -> list[Record]:
    """Keep the records of the wanted recipe and split; maps made by others pass, ensembles where their cells do.

    Raises:
        BenchError: Nothing is left; the message lists the available ones.
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
    gone = {r.cell for r in records} - {r.cell for r in kept}
    return [r for r in kept if r.ensemble is None or gone.isdisjoint(one.cell for one in r.ensemble.parents)]


def require_one(
    records: Sequence[Record], label: Callable[[Record], str], *, what: str, option: str, dataset: str
) -> None:
    """Refuse records that disagree.

    Raises:
        BenchError: Two labels or more; the message gives them and the option to choose one.
    """
    labels = sorted({label(r) for r in records if not is_foreign(r)})
    if len(labels) > 1:
        shown = " and ".join(labels) if len(labels) == 2 else ", ".join(labels)
        hint = ", or show them in a column with --settings" if option == "--recipe" else ""
        raise BenchError(
            f"{dataset}: records of {len(labels)} {what} cannot share a table: {shown}; "
            f"choose one with {option} {labels[0]!r}{hint}"
        )


def check_comparable(
    records: Sequence[Record], dataset: str, protocol: str, *, by_recipe: bool = False
) -> dict[str, RowKey]:
    """Refuse records that cannot share the table of ``dataset``.

    Args:
        records: Of the table.
        dataset: Test set.
        protocol: Scoring protocol.
        by_recipe: Several recipes may share the table, distinguished by their settings.
    Returns:
        The row of each record, by cell.
    Raises:
        BenchError: They differ in split, recipe, protocol version or test images, or one cell occurs twice.
    """
    require_one(records, split_label, what="splits", option="--split", dataset=dataset)
    if not by_recipe:
        require_one(records, recipe_label, what="recipes", option="--recipe", dataset=dataset)
    _check_protocol(records, dataset, protocol)
    _check_images(records, dataset)
    keys = row_keys(records, by_recipe=by_recipe)
    _check_twice(records, keys, dataset)
    return keys


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
    """Keep the newest of our records that differ only in the code that made them; external ones all stay.

    Returns:
        The records kept, in order, and by model the cells left out.
    """
    best: dict[str, Record] = {}
    dropped: dict[str, list[str]] = {}
    for record in records:
        key = str(id(record)) if is_foreign(record) else same_cell(record)
        older, best[key] = sorted((best.get(key, record), record), key=_age)
        if older is not best[key]:
            dropped.setdefault(record.model, []).append(older.cell)
    kept = {id(record) for record in best.values()}
    return [record for record in records if id(record) in kept], dropped


def _age(record: Record) -> tuple[bool, str]:
    """Sort key: a finished cell goes before an unfinished one, then the later one."""
    return record.status == "ok", record.created


def _check_twice(records: Sequence[Record], keys: Mapping[str, RowKey], dataset: str) -> None:
    seen: dict[tuple[RowKey, int], str] = {}
    for record in records:
        key = (keys[record.cell], record.seed)
        if key in seen:
            raise BenchError(
                f"{dataset}: two records of {record.model} with seed {record.seed}: "
                f"{seen[key]} and {record.cell}; choose one with --recipe {record.recipe_name}-HASH"
            )
        seen[key] = record.cell


def group_studies(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """Group records by (split label, recipe label): what may share a table; external maps join every group."""
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
