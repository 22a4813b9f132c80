"""One table over all test sets, as papers print it: the sets side by side, their means behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.data.listing.datasets import SEEN
from benchmark.metrics.measures import MEASURES, Measure
from benchmark.report.records.identity import RowKey
from benchmark.report.sheets.sheet import Cell, Column, Mark, Sheet
from benchmark.report.tables.captions import common_facts, count_images
from benchmark.report.tables.rows import Row, mark_best, mean_of, row_order, std_of
from benchmark.report.tables.scores import (
    Table,
    figure,
    gap_cells,
    gap_columns,
    has_gap,
    head_cells,
    head_columns,
    legend,
    weighed,
)

MEASURES_SHOWN = ("mDSC", "mIoU")
"""Where none were named: what most papers print of every set."""
MEAN = "Mean"


@dataclass(frozen=True)
class _Line:
    """A row over all sets: where it stands in each table, and its mean."""

    row: Row
    places: Mapping[str, int]
    mean: Row


def wide_sheet(tables: Sequence[Table], *, order: Sequence[str] = ()) -> Sheet:
    """Set the test sets side by side, with the mean over them behind.

    Args:
        tables: One per test set, from ``build_tables``; each says which measures it prints.
        order: Models whose rows come first, as ``build_tables`` was asked.
    Returns:
        One sheet for ``table*``. The mean counts every set alike, whatever its size; a row that lacks a set, or was
        scored on a part of one, has none: a mean over fewer sets would not compare.
    """
    counted = [table for table in tables if not table.dataset.endswith(SEEN)]
    lines = _lines(tables, counted, order)
    chosen = [m for m in MEASURES if m.key in tables[0].measures]
    marks = {m.key: mark_best([line.mean for line in lines], m, tables[0].numerals) for m in chosen}
    settings = replace(tables[0], show_settings=any(table.show_settings for table in tables))
    columns = [*head_columns(settings), *(column for table in tables for column in _columns(table, chosen))]
    with_mean = len(counted) > 1
    return Sheet(
        stem="table-wide" if tables[0].kind == "main" else "ablation-wide",
        caption=_caption(tables, with_mean),
        columns=(*columns, *(_column(m, MEAN) for m in chosen if with_mean)),
        rows=tuple(
            (
                *head_cells(settings, line.row),
                *(cell for table in tables for cell in _cells(table, line, chosen)),
                *(_mean_cell(tables[0], line.mean, m, marks[m.key].get(i)) for m in chosen if with_mean),
            )
            for i, line in enumerate(lines)
        ),
        notes=(*_notes(tables), *(_blank_means(lines) if with_mean else ())),
        data=tuple(_data(tables, line, chosen, with_mean=with_mean) for line in lines),
        wide=True,
        siunitx=tables[0].siunitx,
    )


def _column(measure: Measure, title: str) -> Column:
    return Column(f"{measure.plain} {measure.arrow}", measure.latex, group=title)


def _lines(tables: Sequence[Table], counted: Sequence[Table], order: Sequence[str]) -> list[_Line]:
    """Every row that some table has, in the order of a table, with its mean over the sets counted."""
    places = [(table, {row.key: i for i, row in enumerate(table.rows)}) for table in tables]
    keys: dict[RowKey, Row] = {row.key: row for table in tables for row in table.rows}
    lines = []
    for key in sorted(keys, key=lambda one: row_order(one, order)):
        found = {table.dataset: where[key] for table, where in places if key in where}
        rows = [table.rows[found[table.dataset]] for table in counted if table.dataset in found]
        lines.append(_Line(keys[key], found, mean_row(keys[key], rows, len(counted))))
    return lines


def mean_row(row: Row, rows: Sequence[Row], num_sets: int) -> Row:
    """The row's mean over the sets, per seed first, so that its deviation over seeds is that of the mean."""
    by_seed: dict[str, tuple[float | None, ...]] = {}
    whole = 0 < len(rows) == num_sets and all(one.is_whole for one in rows) and len({one.seeds for one in rows}) == 1
    for measure in MEASURES:
        scores = [one.by_seed.get(measure.key, ()) for one in rows] if whole else []
        by_seed[measure.key] = tuple(mean_of(column) for column in zip(*scores, strict=True)) or (None,)
    return replace(
        row,
        values={key: mean_of(column) for key, column in by_seed.items()},
        std={key: std_of(column) for key, column in by_seed.items()},
        by_seed=by_seed,
        reason=None if whole else "not scored on every test set",
    )


def _columns(table: Table, chosen: Sequence[Measure]) -> list[Column]:
    gap = [replace(column, group=table.title) for column in gap_columns(table)]
    return [*(_column(m, table.title) for m in chosen), *gap]


def _cells(table: Table, line: _Line, chosen: Sequence[Measure]) -> list[Cell]:
    place = line.places.get(table.dataset)
    scores = (Cell() if place is None else weighed(table, place, m.key) for m in chosen)
    return [*scores, *gap_cells(table, None if place is None else table.rows[place])]


def _mean_cell(table: Table, mean: Row, measure: Measure, mark: Mark | None) -> Cell:
    return figure(table.numerals, mean, measure.key, mark, std=table.show_std)


def _caption(tables: Sequence[Table], with_mean: bool) -> str:
    """The facts that all sets share once, those that differ by set, and what the marks mean."""
    what = "Results" if tables[0].kind == "main" else "Ablation"
    counts = ", ".join(f"{table.title}{count_images(table.facts, table.title)}" for table in tables)
    spread = any(value is not None for t in tables if t.show_std for row in t.rows for value in row.std.values())
    facts = [f"{what} on {len(tables)} test sets: {counts}"] if len(tables) > 1 else [f"{what} on {counts}"]
    facts += common_facts([(table.title, table.facts) for table in tables], with_std=spread)
    facts += [f"{MEAN}: every test set counts alike"] if with_mean else []
    marks = dict.fromkeys(sentence for table in tables for sentence in legend(table))
    return " ".join([f"{'. '.join(facts)}.", *marks])


def _notes(tables: Sequence[Table]) -> Iterator[str]:
    """The notes of all tables; one that not all share names its sets."""
    where: dict[str, list[str]] = {}
    for table in tables:
        for note in table.sheet.notes:
            where.setdefault(note, []).append(table.title)
    for note, titles in where.items():
        yield note if len(titles) == len(tables) else f"{', '.join(titles)}: {note}"


def _blank_means(lines: Sequence[_Line]) -> list[str]:
    lacking = [line.row.title for line in lines if line.mean.reason]
    return [f"Blank under {MEAN}, {', '.join(lacking)}: not every test set was scored wholly"] if lacking else []


def _data(tables: Sequence[Table], line: _Line, chosen: Sequence[Measure], *, with_mean: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": line.row.model,
        "model_title": line.row.title,
        "ablation": "+".join(line.row.ablation),
        "setting": line.row.setting,
    }
    for table in tables:
        place = line.places.get(table.dataset)
        row = table.rows[place] if place is not None else None
        for measure in chosen:
            found[f"{table.dataset}_{measure.key}"] = row.values.get(measure.key) if row else None
            if table.show_std:
                found[f"{table.dataset}_{measure.key}_std"] = row.std.get(measure.key) if row else None
        if has_gap(table):
            found[f"{table.dataset}_gap"] = row.gap if row else None
    for measure in chosen if with_mean else ():
        found[f"mean_{measure.key}"] = line.mean.values[measure.key]
        if tables[0].show_std:
            found[f"mean_{measure.key}_std"] = line.mean.std[measure.key]
    facts = tables[0].facts
    return found | {
        "seeds": " ".join(map(str, line.row.seeds)),
        "protocol": facts.protocol,
        "protocol_hash": facts.protocol_hash,
        "synthetic": any(table.facts.synthetic for table in tables),
    }
