"""Means over all test sets, over the seen ones (their dataset also trains) and over the unseen ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES
from benchmark.report.records.identity import RowKey, is_foreign
from benchmark.report.sheets.sheet import Cell, Column, Sheet
from benchmark.report.tables.rows import Row, mark_best
from benchmark.report.tables.scores import Table, figure, head_cells, head_columns
from benchmark.report.tables.wide import mean_row
from benchmark.store.schema import Record

_MADE_OF = {"endoscene": {"clinicdb", "cvc300"}, "kvasir-sessile": {"kvasir"}}
"""Sets whose images are those of others."""

_KNOWN = {"pranet": ["clinicdb", "kvasir"]}
"""What published splits train on, for records that do not say."""


def seen_sheet(tables: Sequence[Table], records: Sequence[Record]) -> Sheet:
    """Average every row over all test sets, over the seen ones and over the unseen ones.

    A set is seen where training images come from the same dataset, or from one that it shares images with. Every set
    counts alike; a row that lacks a set, or was scored on a part of one, has no mean over it.

    Args:
        tables: Tables of one kind, from ``build_tables``.
        records: The records that they were made from.
    Raises:
        BenchError: Nothing here was trained, or a record of an older version does not say on what.
    """
    trained = _trained_on(tables, records)
    parts = {
        "all": list(tables),
        "seen": [table for table in tables if _sources([table.dataset]) & trained],
        "unseen": [table for table in tables if not _sources([table.dataset]) & trained],
    }
    head, rows, data = tables[0], [], []
    for part, members in parts.items():
        lines = _lines(tables, members)
        marks = {measure.key: mark_best(lines, measure, head.numerals) for measure in MEASURES}
        for i, line in enumerate(lines):
            figures = (figure(head.numerals, line, m.key, marks[m.key].get(i), std=head.show_std) for m in MEASURES)
            rows.append((Cell(part.capitalize()), *head_cells(head, line), *figures))
            data.append(_data(part, members, line, head))
    names = {part: ", ".join(table.title for table in members) or "none" for part, members in parts.items()}
    facts = head.facts
    return Sheet(
        stem="means" if head.kind == "main" else "ablation-means",
        caption=(
            f"Means over test sets. Seen, training images come from the same dataset: {names['seen']}. "
            f"Unseen: {names['unseen']}. Every set counts alike. Protocol {facts.protocol} ({facts.protocol_hash}). "
            f"Split {facts.split}. Best of each part in bold, second underlined."
            + (" Synthetic images: these numbers say nothing about real polyps." if facts.synthetic else "")
        ),
        columns=(
            Column("Test sets", align="l"),
            *head_columns(head),
            *(Column(f"{m.plain} {m.arrow}", m.latex) for m in MEASURES),
        ),
        rows=tuple(rows),
        notes=tuple(_blanks(data)),
        data=tuple(data),
    )


def _sources(names: Sequence[str]) -> set[str]:
    return {source for name in names for source in _MADE_OF.get(name, {name})}


def _trained_on(tables: Sequence[Table], records: Sequence[Record]) -> set[str]:
    cells = {cell for table in tables for row in table.rows for cell in row.cells}
    ours = [record for record in records if record.cell in cells and not is_foreign(record)]
    if not ours:
        raise BenchError("--means: nothing here was trained, so no test set is seen or unseen; leave the option out")
    lists = [record.train_sets or _KNOWN.get(record.split.name) for record in ours]
    for record, names in zip(ours, lists, strict=True):
        if names is None:
            raise BenchError(
                f"--means: {record.cell}, made by an older version, does not say which datasets train; the same "
                "'bench run' again notes it without training"
            )
    return _sources([name for names in lists for name in names or ()])


def _lines(tables: Sequence[Table], members: Sequence[Table]) -> list[Row]:
    """Return the mean of every row that some table has, in the order of the tables."""
    keys: dict[RowKey, Row] = {row.key: row for table in tables for row in table.rows}
    rows = {key: [row for table in members for row in table.rows if row.key == key] for key in keys}
    return [mean_row(keys[key], found, len(members)) for key, found in rows.items()]


def _data(part: str, members: Sequence[Table], line: Row, head: Table) -> dict[str, Any]:
    return {
        "part": part,
        "sets": " ".join(table.dataset for table in members),
        "model": line.model,
        "model_title": line.title,
        "ablation": "+".join(line.ablation),
        "setting": line.setting,
        **{measure.key: line.values[measure.key] for measure in MEASURES},
        **{f"{measure.key}_std": line.std[measure.key] for measure in MEASURES},
        "seeds": " ".join(map(str, line.seeds)),
        "protocol": head.facts.protocol,
        "protocol_hash": head.facts.protocol_hash,
        "synthetic": head.facts.synthetic,
        "note": (line.reason or "") if members else "no such test set",
    }


def _blanks(data: Sequence[dict[str, Any]]) -> list[str]:
    lacking: dict[str, list[str]] = {}
    for line in data:
        if line["note"]:
            lacking.setdefault(line["part"], []).append(line["model_title"])
    why = "not every such set was scored wholly, or there is none"
    return [f"Blank under {part}, {', '.join(titles)}: {why}" for part, titles in lacking.items()]
