"""A plain table of named columns, for reports that rank nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.report.tables import sheet
from benchmark.report.tables.sheet import Cell, Sheet


@dataclass(frozen=True)
class Column:
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


@dataclass(frozen=True)
class Listing:
    """Rows under one caption.

    Attributes:
        stem: File name without suffix.
        caption: Plain text, whole sentences.
        columns: What LaTeX and Markdown print.
        rows: What CSV writes, one mapping per row with the same keys; None is a blank.
        notes: Lines below the table.
    """

    stem: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()

    @property
    def sheet(self) -> Sheet:
        """The listing ready to print."""
        heads = tuple(sheet.Column(c.plain, c.latex, "r" if c.number else "l") for c in self.columns)
        rows = tuple(tuple(self._cell(row, c) for c in self.columns) for row in self.rows)
        return Sheet(self.stem, self.caption, heads, rows, self.notes, self.rows)

    def to_latex(self) -> str:
        """Return a ``table`` environment; it needs ``\\usepackage{booktabs}`` and nothing else."""
        return self.sheet.to_latex()

    def to_markdown(self) -> str:
        """Return a GitHub table with the caption above and the notes below."""
        return self.sheet.to_markdown()

    def to_csv(self) -> str:
        """Return CSV text with a header and six decimals."""
        return self.sheet.to_csv()

    def _cell(self, row: Mapping[str, Any], column: Column) -> Cell:
        value = row[column.key]
        if value is None:
            return Cell()
        return Cell(column.show(value), value=float(value) if column.number else None)
