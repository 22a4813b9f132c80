"""Measures on request as tables: lesions, calibration, outlines, precision and recall; whole sets or by stratum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmark.errors import unknown_name
from benchmark.metrics.families import Family
from benchmark.report.records.family_values import read_values
from benchmark.report.records.grouping import regrouped
from benchmark.report.sheets.escape import label
from benchmark.report.sheets.listing import Field, listing
from benchmark.report.sheets.sheet import Sheet
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.captions import caption
from benchmark.report.tables.rows import Row, printed
from benchmark.report.tables.scores import Table
from benchmark.report.tables.strata import ALL, BY, in_order, strata_of
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.store.schema import Record

NO_VALUES = "not measured: its maps were not kept"
Reasons = Mapping[tuple[str, str], str]
"""Why a cell's test set has no values, by cell and test set."""


@dataclass(frozen=True)
class FamilyRow:
    """One row of a table and its values.

    Attributes:
        table: The table.
        row: Its row.
        parts: One frame per cell, a line per image; empty where the row is blank.
        reason: Why it is blank, where the row itself does not say.
    """

    table: Table
    row: Row
    parts: tuple[pd.DataFrame, ...] = ()
    reason: str = ""


def family_tables(
    records: Sequence[Record],
    results: Path,
    family: Family,
    *,
    by: str | None = None,
    reasons: Reasons | None = None,
    **choice: Any,
) -> list[Sheet]:
    """Build one table per test set: a line per model, or one per stratum and model.

    Args:
        records: ``run.json`` contents.
        results: The folder that they came from.
        family: What to print.
        by: A key of ``strata.BY``; None for whole sets alone.
        reasons: Why cells have no values.
        choice: As for ``build_tables``, whose rules on what may share a table hold here too.
    Raises:
        BenchError: As ``build_tables``; unknown ``by``.
    """
    if by is not None and by not in BY:
        raise unknown_name("--by", by, BY)
    found: dict[str, list[FamilyRow]] = {}
    for one in family_rows(records, results, family, reasons=reasons or {}, **choice):
        found.setdefault(one.table.dataset, []).append(one)
    return [_sheet(rows, family, by) for rows in found.values()]


def family_rows(
    records: Sequence[Record], results: Path, family: Family, *, reasons: Reasons, **choice: Any
) -> Iterator[FamilyRow]:
    """Yield the values behind each row of the tables that ``build_tables`` makes of the same choice."""
    layout, by_cell = ResultsLayout(results), {record.cell: record for record in records}
    scores = lru_cache(maxsize=4)(lambda cell: regrouped(io.read_scores(layout.cell(cell).scores)))
    for table in build_tables(records, **choice):
        for row in table.rows:
            parts: list[pd.DataFrame] = []
            reason = ""
            for cell in row.cells if row.n is not None else ():
                values = None
                if family.of_image is not None:
                    values = read_values(layout.cell(cell), by_cell[cell], table.dataset, family)
                if values is None:
                    values = _scored(scores, layout.cell(cell), cell, table, family)
                if values is None:
                    reason = reason or reasons.get((cell, table.dataset), NO_VALUES)
                else:
                    parts.append(values)
            yield FamilyRow(table, row, () if reason else tuple(parts), reason)


def _scored(scores: Any, paths: CellPaths, cell: str, table: Table, family: Family) -> pd.DataFrame | None:
    """Return the rows of ``scores.parquet`` where they hold the family's values."""
    if not _holds(paths, family):
        return None
    rows, needed = scores(cell), _needed(family)
    rows = rows[(rows["protocol"] == table.facts.protocol) & (rows["dataset"] == table.dataset)]
    if not len(rows) or rows[list(needed)].isna().to_numpy().any():
        return None
    return rows  # type: ignore[no-any-return]


def _needed(family: Family) -> set[str]:
    return {m.column for m in family.measures} - {"f2_half"}  # that one follows from the others


def _holds(paths: CellPaths, family: Family) -> bool:
    """Return whether ``scores.parquet`` has the columns of a family; its rows are not read."""
    needed = _needed(family)
    return "" not in needed and paths.scores.is_file() and needed <= io.score_columns(paths.scores)


def is_measured(records: Sequence[Record], results: Path, family: Family) -> bool:
    """Return whether any cell has values of a family; no value is read."""
    layout = ResultsLayout(results)
    every = [layout.cell(record.cell) for record in records]
    kept = family.of_image is not None and any(paths.metric(family.name, family.code).is_file() for paths in every)
    return kept or any(_holds(paths, family) for paths in every)


def _sheet(found: Sequence[FamilyRow], family: Family, by: str | None) -> Sheet:
    table = found[0].table
    lines = [line for one in found for line in _lines(one, family, by)]
    if by is not None:
        order = {name: i for i, name in enumerate(in_order({line["stratum"] for line in lines}, by))}
        lines.sort(key=lambda line: order[line["stratum"]])
    words = f" {BY[by].words}" if by is not None else ""
    legend = f" {BY[by].legend}." if by is not None else ""
    fields = (
        *((Field("stratum", "Stratum", "Stratum", number=False),) if by is not None else ()),
        Field("model_title", "Model", "Model", number=False),
        Field("n", "$n$", "n"),
        *(Field(key, head, head, _whole) for key, head in family.counted),
        *(Field(m.key, m.latex, f"{m.plain} {m.arrow}", _shown(m.high)) for m in family.measures),
    )
    by_reason: dict[str, list[str]] = {}
    for one in found:
        if one.reason:
            by_reason.setdefault(one.reason, []).append(one.row.title)
    blanks = [f"Blank, {', '.join(titles)}: {reason}" for reason, titles in by_reason.items()]
    stem = f"{family.name}-{by}" if by is not None else family.name
    return replace(
        listing(
            stem=f"{stem}-{label(table.dataset)}",
            caption=f"{caption(f'{family.title}{words}', table.title, table.facts)}{legend} {family.rule}.",
            fields=fields,
            rows=tuple(lines),
            notes=(*table.notes, *blanks),
        ),
        combined=stem,
    )


def _whole(value: float) -> str:
    return f"{value:g}"


def _shown(high: float) -> Any:
    return printed if high == 1 else lambda value: f"{value:.2f}"


def _lines(one: FamilyRow, family: Family, by: str | None) -> list[dict[str, Any]]:
    if not one.parts:
        return [_line(one, family, by, ALL, ())]
    names = dict.fromkeys(name for part in one.parts for name in strata_of(part, by)) if by is not None else {}
    cut = {name: tuple(part[strata_of(part, by or "") == name] for part in one.parts) for name in names}
    return [_line(one, family, by, str(name), parts) for name, parts in (*cut.items(), (ALL, one.parts))]


def _line(
    one: FamilyRow, family: Family, by: str | None, stratum: str, parts: Sequence[pd.DataFrame]
) -> dict[str, Any]:
    facts, row = one.table.facts, one.row
    sets = [family.of_images({str(name): part[name].to_numpy() for name in part.columns}) for part in parts]
    keys = [*(key for key, _ in family.counted), *(measure.key for measure in family.measures)]
    return {
        "dataset": one.table.dataset,
        **({"by": by, "stratum": stratum} if by is not None else {}),
        "model": row.model,
        "model_title": row.title + ("†" if row.foreign else ""),
        "n": len(parts[0]) if parts else None,
        **{key: _mean([figures[key] for figures in sets]) for key in keys},
        "protocol": facts.protocol,
        "protocol_hash": facts.protocol_hash,
        "seeds": " ".join(map(str, row.seeds)),
        "synthetic": facts.synthetic,
        "note": one.reason or ("" if parts else row.reason or ""),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean over the seeds; None where one of them has no value."""
    numbers = [value for value in values if value is not None]
    return fmean(numbers) if values and len(numbers) == len(values) else None
