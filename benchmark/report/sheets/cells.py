"""What every table is made of, whatever it shows: cells of plain text with their marks, under heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Mark = Literal["best", "second"]


@dataclass(frozen=True)
class Column:
    """A column's head: plain text, and LaTeX where the escaped plain text will not do."""

    plain: str
    latex: str = ""
    align: Literal["l", "c", "r"] = "r"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: Plain text; empty is a visible blank.
        spread: What follows the text, such as ``± 0.012``; in a LaTeX table that is too wide it moves below the text.
        below: A smaller line below, such as an interval.
        sup: Superscript, such as a dagger or stars.
        mark: ``best`` is bold, ``second`` underlined.
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
    """

    stem: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    data: tuple[Mapping[str, Any], ...] = ()
    combined: str = ""
