"""A table of scores as a sheet: the paper's six columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.report.captions import caption
from benchmark.report.names import MEASURE_KEYS, MEASURES
from benchmark.report.rows import Row, printed
from benchmark.report.sheet import Cell, Column, Sheet

if TYPE_CHECKING:
    from benchmark.report.tables import Table


def score_sheet(table: Table) -> Sheet:
    """Lay out one row per model and one column per measure."""
    measures = [Column(f"{m.plain} {m.arrow}", m.latex) for m in MEASURES]
    return Sheet(
        stem=table.stem,
        caption=score_caption(table),
        columns=(Column("Model", align="l"), *measures),
        rows=tuple(_cells(table, i, row) for i, row in enumerate(table.rows)),
        notes=table.notes,
        data=tuple(csv_rows(table)),
        combined="tables" if table.kind == "main" else "ablations",
    )


def score_caption(table: Table) -> str:
    """Return the caption: the facts, and what the marks mean."""
    what = "Results" if table.kind == "main" else "Ablation"
    sentences = [caption(what, table.title, table.facts, with_std=table.show_std)]
    if table.marks:
        sentences.append("Best in bold, second underlined.")
    return " ".join(sentences)


def _cells(table: Table, i: int, row: Row) -> tuple[Cell, ...]:
    head = Cell(row.title, sup="†" if row.foreign else "")
    return (head, *(_cell(table, i, row, key) for key in MEASURE_KEYS))


def _cell(table: Table, i: int, row: Row, key: str) -> Cell:
    value, std = row.values.get(key), row.std.get(key)
    if value is None:
        return Cell()
    spread = f" ± {printed(std)}" if table.show_std and std is not None else ""
    return Cell(printed(value) + spread, mark=table.marks.get((i, key)), value=value)


def csv_rows(table: Table) -> list[dict[str, Any]]:
    """Return one dictionary per row, the columns of the CSV in order; blanks are None."""
    facts = table.facts
    return [
        {
            "dataset": table.dataset,
            "model": row.model,
            **{key: row.values.get(key) for key in MEASURE_KEYS},
            "n": row.n,
            "of": row.of,
            "dataset_title": table.title,
            "model_title": row.title,
            "ablation": "+".join(row.ablation),
            "protocol": facts.protocol,
            "protocol_hash": facts.protocol_hash,
            "split": "" if row.foreign else facts.split,
            "recipe": "" if row.foreign else facts.recipe,
            "recipe_hash": row.recipe_hash,
            "seeds": " ".join(map(str, row.seeds)),
            **{f"{key}_std": row.std.get(key) for key in MEASURE_KEYS},
            "weights": row.weights,
            "num_params": row.num_params,
            "num_leaked": row.num_leaked,
            "synthetic": facts.synthetic,
            "origin": row.origin,
            "note": row.reason or "",
        }
        for row in table.rows
    ]
