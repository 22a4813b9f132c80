"""Tables over the folds of a cross-validation, or over parts left out in turn: a row each, and one of their mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.metrics.measures import MEASURE_KEYS, MEASURES
from benchmark.report.records import select
from benchmark.report.records.identity import RowKey, is_foreign
from benchmark.report.sheets.sheet import Mark
from benchmark.report.tables.rows import Row, mark_best, mean_of, row_order, std_of
from benchmark.report.tables.scores import Table
from benchmark.store.schema import Record

_KFOLD = re.compile(r"kfold:(\d+):(\d+)")
_LEAVE_OUT = "leave-out:"


@dataclass(frozen=True)
class Folds:
    """Splits of one results folder that differ in nothing but what they leave out.

    Attributes:
        name: As printed: ``kfold:5 (seed 0)``.
        word: ``folds`` or ``parts``.
        splits: Printed name of each member, such as ``fold 1`` or ``without C1``, and its split label.
        lacking: Members that were not run; their mean is a blank then.
    """

    name: str
    word: str
    splits: Mapping[str, str]
    lacking: tuple[str, ...] = ()


def find_folds(records: Sequence[Record], *, recipe: str | None, split: str | None) -> Folds | None:
    """Return the folds or left-out parts that records were trained on, None where they are of any other split."""
    ours = [r for r in select.choose(records, recipe=recipe, split=split) if not is_foreign(r)]
    labels = {r.split.name: select.split_label(r) for r in ours}
    seeds = {r.split.seed for r in ours}
    if len(labels) < 2 or len(seeds) > 1 or len({select.split_label(r) for r in ours}) > len(labels):
        return None
    seed = f"(seed {seeds.pop()})"
    folds = {name: match for name in labels if (match := _KFOLD.fullmatch(name))}
    if len(folds) == len(labels) and len({match[1] for match in folds.values()}) == 1:
        number = int(next(iter(folds.values()))[1])
        wanted = {f"fold {k:0{len(str(number))}d}": f"kfold:{number}:{k}" for k in range(1, number + 1)}
        splits = {shown: labels[name] for shown, name in wanted.items() if name in labels}
        return Folds(f"kfold:{number} {seed}", "folds", splits, tuple(one for one in wanted if one not in splits))
    if all(name.startswith(_LEAVE_OUT) for name in labels):
        parts = {f"without {name.removeprefix(_LEAVE_OUT)}": label for name, label in sorted(labels.items())}
        return Folds(f"leave-out {seed}", "parts", parts)
    return None


def fold_tables(folds: Folds, build: Callable[[str], Sequence[Table]], *, order: Sequence[str] = ()) -> list[Table]:
    """Join the tables of all folds: for each model a row for each fold, and their mean, which alone is ranked.

    Args:
        folds: See ``find_folds``.
        build: Split label -> its tables, one per test set.
        order: Models whose rows come first.
    """
    by_set: dict[str, dict[str, Table]] = {}
    for shown, label in folds.splits.items():
        for table in build(label):
            by_set.setdefault(table.dataset, {})[shown] = table
    return [_join(folds, tables, order) for tables in by_set.values()]


def _join(folds: Folds, tables: Mapping[str, Table], order: Sequence[str]) -> Table:
    first = next(iter(tables.values()))
    keys: dict[RowKey, Row] = {row.key: row for table in tables.values() for row in table.rows}
    rows: list[Row] = []
    for key in sorted(keys, key=lambda one: row_order(one, order)):
        members = {shown: _row(table, key, keys[key]) for shown, table in tables.items()}
        rows += [replace(row, setting=_setting(row, shown), of_mean=True) for shown, row in members.items()]
        rows.append(_mean_row(folds, keys[key], members))
    marks: dict[tuple[int, str], Mark] = {
        (i, m.key): mark for m in MEASURES for i, mark in mark_best(rows, m, first.numerals).items()
    }
    return replace(
        first,
        rows=tuple(rows),
        marks=marks,
        facts=_facts(folds, [table.facts for table in tables.values()]),
        notes=tuple(_notes(folds, tables)),
        show_settings=True,
        aside=f"Rows of means: over {len(tables)} {folds.word}" + (", ± over them." if first.show_std else "."),
    )


def _row(table: Table, key: RowKey, like: Row) -> Row:
    """The row of a fold, blank where the model was not run on it."""
    found = next((row for row in table.rows if row.key == key), None)
    blank: dict[str, float | None] = dict.fromkeys(MEASURE_KEYS)
    return found or Row(like.model, like.ablation, like.title, blank, blank, reason="not run", setting=like.setting)


def _setting(row: Row, shown: str) -> str:
    return f"{row.setting}, {shown}" if row.setting else shown


def _mean_row(folds: Folds, row: Row, members: Mapping[str, Row]) -> Row:
    """The mean over all folds; a blank where one lacks a number."""
    found = list(members.values())
    absent = [*folds.lacking, *(shown for shown, one in members.items() if one.n is None)]
    by_fold = {key: tuple(one.values.get(key) for one in found) for key in MEASURE_KEYS}
    if absent:
        by_fold = dict.fromkeys(MEASURE_KEYS, (None,))
    gaps = [one.gap for one in found]
    whole = [one.n for one in found if one.n is not None]
    return replace(
        row,
        values={key: mean_of(column) for key, column in by_fold.items()},
        std={key: std_of(column) for key, column in by_fold.items()},
        by_seed=by_fold,
        n=None if absent else sum(whole),
        of=None,
        cells=tuple(cell for one in found for cell in one.cells),
        seeds=next((one.seeds for one in found if one.seeds), ()),
        num_leaked=max((one.num_leaked or 0 for one in found), default=0),
        gap=None if absent else mean_of(gaps),
        reason=f"{', '.join(absent)} not run" if absent else None,
        setting=_setting(row, f"mean of {len(members)} {folds.word}"),
    )


def _facts(folds: Folds, facts: Sequence[Any]) -> Any:
    """The facts that folds share; images and leaks are added up."""
    counts = [one.n for one in facts]
    kinds = [kind for kind in facts[0].leaked if all(kind in one.leaked for one in facts)]
    return replace(
        facts[0],
        split=folds.name,
        n=sum(counts) if all(isinstance(n, int) for n in counts) else None,
        of=None,
        leaked={kind: sum(one.leaked[kind] for one in facts) for kind in kinds},
    )


def _notes(folds: Folds, tables: Mapping[str, Table]) -> list[str]:
    """The folds' notes, each once; one that not all share names its folds."""
    where: dict[str, list[str]] = {}
    for shown, table in tables.items():
        for note in table.notes:
            where.setdefault(note, []).append(shown)
    lines = [note if len(names) == len(tables) else f"{', '.join(names)}: {note}" for note, names in where.items()]
    lacking = f"{', '.join(folds.lacking)} not run: no mean over {folds.word}"
    return [*lines, *([f"{lacking[:1].upper()}{lacking[1:]}"] if folds.lacking else [])]
