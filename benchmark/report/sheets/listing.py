"""A plain table of named fields, for reports that rank nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.report.sheets.sheet import Cell, Column, Sheet


@dataclass(frozen=True)
class Field:
    """One printed column.

    Attributes:
        key: Its key in a row.
        latex: Header in LaTeX. plain: Header in Markdown.
        show: Turns a value that is not None into text.
        number: Aligned to the right.
    """

    key: str
    latex: str
    plain: str
    show: Callable[[Any], str] = str
    number: bool = True


def listing(
    stem: str,
    caption: str,
    fields: Sequence[Field],
    rows: Sequence[Mapping[str, Any]],
    notes: Sequence[str] = (),
) -> Sheet:
    """Return a table that prints some of the fields of its rows, and writes all of them as CSV.

    Args:
        stem: File name without suffix.
        caption: Plain text, whole sentences.
        fields: What LaTeX and Markdown print.
        rows: What CSV writes, one mapping per row with the same keys; None is a blank.
        notes: Lines below the table.
    """
    heads = tuple(Column(one.plain, one.latex, "r" if one.number else "l") for one in fields)
    cells = tuple(tuple(_cell(row, one) for one in fields) for row in rows)
    return Sheet(stem, caption, heads, cells, tuple(notes), tuple(rows))


def _cell(row: Mapping[str, Any], field: Field) -> Cell:
    value = row[field.key]
    if value is None:
        return Cell()
    return Cell(field.show(value), value=float(value) if field.number else None)
