"""What every table is made of, whatever it shows: cells of plain text with their marks, under heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

Mark = Literal["best", "second", "check"]


@dataclass(frozen=True)
class Column:
    """A column's head: plain text, and LaTeX where the escaped plain text will not do.

    Attributes:
        group: Head above it, which neighbours of the same group share; in plain text.
    """

    plain: str
    latex: str = ""
    align: Literal["l", "c", "r"] = "r"
    group: str = ""

    @property
    def whole(self) -> str:
        """The head in one line, for formats without a line above."""
        return f"{self.group} {self.plain}".strip()


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: Plain text; empty is a visible blank.
        spread: What follows the text, such as ``± 0.012``; in a LaTeX table that is too wide it moves below the text.
        below: A smaller line below, such as an interval.
        sup: Superscript, such as a dagger or stars.
        mark: ``best`` is bold, ``second`` underlined; ``check`` is a check mark.
        value: The number itself, by which HTML tables can sort.
    """

    text: str = ""
    spread: str = ""
    below: str = ""
    sup: str = ""
    mark: Mark | None = None
    value: float | None = None


@dataclass(frozen=True)
class Grid:
    """A table as plain text, before it takes the form of a file.

    Attributes:
        stem: File name without suffix, and the LaTeX label behind ``tab:``.
        caption: Plain sentences: what was measured, on what, how, and how it was made.
        rows: As many cells per row as columns.
        notes: Lines below the table.
        data: The CSV: one dictionary per row with the same keys; None is a blank.
        combined: File that joins the CSV rows of several sheets, such as ``tables.csv``; empty for none.
        wide: In LaTeX the table spans both columns of a page (``table*``).
        siunitx: In LaTeX figures are aligned at the decimal point by the package siunitx.
    """

    stem: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    data: tuple[Mapping[str, Any], ...] = ()
    combined: str = ""
    wide: bool = False
    siunitx: bool = False

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Neighbouring columns that share a head above: its text, empty for none, and how many columns."""
        return [(name, len(list(members))) for name, members in groupby(self.columns, key=lambda one: one.group)]
