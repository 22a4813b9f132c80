"""Scores without leaked test images beside the usual ones: the same cells over the other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from benchmark.errors import BenchError
from benchmark.metrics.measures import COLUMNS, MEASURE_KEYS, MEASURES
from benchmark.report.sheets.sheet import Mark
from benchmark.report.tables.leaks import LEAK_KINDS
from benchmark.report.tables.numerals import Numerals
from benchmark.report.tables.rows import Clean, Row, mark_best, mean_of, std_of
from benchmark.store import io

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.report.tables.scores import Table
    from benchmark.store.layout import CellPaths, ResultsLayout
    from benchmark.store.schema import LeakKind, Record

_COLUMNS = {key: column for key, column in COLUMNS.items() if key != "E_phi_max"}


def with_clean(
    tables: Sequence[Table], records: Sequence[Record], layout: ResultsLayout, kinds: Sequence[str] = LEAK_KINDS
) -> list[Table]:
    """Add to every row its figures over the test images that are not leaked.

    External maps are measured on the same images as ours. Dice, IoU, S, weighted F and MAE are means over
    images. ``E_phi_max`` is the peak of the remaining images' own mean curve, which may lie at another threshold
    than before; it is left blank where a record holds no curve per image.

    Args:
        tables: As ``build_tables`` made them.
        records: The records that they were made from.
        layout: Where the scores of each cell lie.
        kinds: Which leaks to exclude, of "exact", "near", "sequence".
    Raises:
        BenchError: An unknown kind, or score rows that cannot be read.
    """
    for kind in kinds:
        if kind not in LEAK_KINDS:
            raise BenchError(f"--leak-kinds {kind}: expected some of {', '.join(LEAK_KINDS)}")
    by_cell = {record.cell: record for record in records}
    return [_clean_table(table, by_cell, layout, kinds) for table in tables]


def _clean_table(table: Table, by_cell: Mapping[str, Record], layout: ResultsLayout, kinds: Sequence[str]) -> Table:
    ours = [by_cell[cell] for row in table.rows if not row.foreign for cell in row.cells if cell in by_cell]
    tests = [record.tests[table.dataset] for record in ours if table.dataset in record.tests]
    lists = [test.leaked for test in tests]
    known = [one for one in lists if one is not None]
    if len(known) < len(lists) or not lists:
        what = "its records do not list them; run the same 'bench run' again" if lists else "nothing here was trained"
        return replace(table, notes=(*table.notes, f"Leaked test images are not known: {what}"))
    ids = {kind: sorted({i for one in known for i in one.get(cast("LeakKind", kind), ())}) for kind in kinds}
    leaked = {i for found in ids.values() for i in found}
    if not leaked:
        text = f"No test image is leaked ({', '.join(kinds)}): the figures are the clean ones"
        rows = [replace(row, clean=_as_it_is(row)) for row in table.rows]
        return replace(table, rows=tuple(rows), notes=(*table.notes, text))
    rows = [replace(row, clean=_clean_row(row, table, layout, leaked)) for row in table.rows]
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in ids.items())
    left = next((row.clean.n for row in rows if row.clean is not None and row.clean.n is not None), None)
    remain = "" if left is None else f"; {left} remain"
    note = f"Second lines: without {len(leaked)} leaked test images ({counts}){remain}"
    reasons = dict.fromkeys(row.clean.reason for row in rows if row.clean is not None and row.clean.reason)
    blanks = [f"Blank in second lines: {reason}" for reason in reasons]
    return replace(table, rows=_marked(rows, table.numerals), notes=(*table.notes, note, *blanks))


def _as_it_is(row: Row) -> Clean:
    return Clean(row.values, row.std, row.n, same=True)


def _clean_row(row: Row, table: Table, layout: ResultsLayout, leaked: set[str]) -> Clean:
    blank: dict[str, float | None] = dict.fromkeys(MEASURE_KEYS)
    if not row.cells or all(value is None for value in row.values.values()):
        return Clean(blank, blank)
    found = [_clean_figures(layout.cell(cell), table, leaked) for cell in row.cells]
    n = int(found[0].pop("n") or 0)
    for one in found[1:]:
        one.pop("n")
    columns = {key: [one[key] for one in found] for key in MEASURE_KEYS}
    reason = None
    if not n:
        reason = "every test image is leaked"
    elif None in columns["E_phi_max"]:
        reason = "E_phi_max needs the curve of every image, which records of older versions lack; run the cell again"
    return Clean(
        {key: mean_of(column) for key, column in columns.items()},
        {key: std_of(column) for key, column in columns.items()},
        n,
        reason,
    )


def _clean_figures(paths: CellPaths, table: Table, leaked: set[str]) -> dict[str, float | None]:
    frame = io.read_scores(paths.scores)
    mine = frame[(frame["protocol"] == table.facts.protocol) & (frame["dataset"] == table.dataset)]
    kept = ~mine["id"].isin(leaked).to_numpy()
    if not kept.any():
        return {**dict.fromkeys(MEASURE_KEYS), "n": 0}
    figures: dict[str, float | None] = {key: float(mine.loc[kept, name].mean()) for key, name in _COLUMNS.items()}
    return {**figures, "E_phi_max": _peak(paths, table, mine, kept), "n": int(kept.sum())}


def _peak(paths: CellPaths, table: Table, rows: pd.DataFrame, kept: Any) -> float | None:
    """Return the maximum of the mean E curve of the images that are kept."""
    curves = io.read_npz(paths.curves) if paths.curves.is_file() else {}
    images = curves.get(f"{table.facts.protocol}/{table.dataset}/em_images")
    if images is None or len(images) != len(rows):
        return None
    return float(images[kept].mean(axis=0, dtype=float).max())


def _marked(rows: Sequence[Row], form: Numerals) -> tuple[Row, ...]:
    """Best and second among the clean figures, as among the others."""
    shown = [replace(row, values=row.clean.values) if row.clean else row for row in rows]
    marks: list[dict[str, Mark]] = [{} for _ in rows]
    for measure in MEASURES:
        for i, mark in mark_best(shown, measure, form).items():
            marks[i][measure.key] = mark
    return tuple(
        replace(row, clean=replace(row.clean, marks=mark)) if row.clean else row
        for row, mark in zip(rows, marks, strict=True)
    )
