"""A table ready to print: cells of plain text with their marks, whatever they stand for.

Everything that makes a table (scores, ranks, cost, published numbers) makes a ``Sheet``; ``render`` writes it as LaTeX,
Markdown, HTML and CSV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from benchmark.report.tables import render

if TYPE_CHECKING:
    import pandas as pd

Mark = Literal["best", "second"]
FORMATS = {"latex": ".tex", "markdown": ".md", "html": ".html", "csv": ".csv"}
"""Format -> suffix of its files."""


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
class Sheet:
    """A table ready to print.

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

    @property
    def sheet(self) -> Sheet:
        """Itself, so that it can stand where a ``Table`` does."""
        return self

    @property
    def frame(self) -> pd.DataFrame:
        """The CSV as a data frame."""
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self.data])

    def to_latex(self) -> str:
        """Return a ``table`` environment; it needs ``\\usepackage{booktabs}`` and nothing else."""
        return render.to_latex(self)

    def to_markdown(self) -> str:
        """Return a GitHub table under a caption line."""
        return render.to_markdown(self)

    def to_html(self) -> str:
        """Return a ``table`` element with its caption, and the notes in a list behind it."""
        return render.to_html(self)

    def to_csv(self) -> str:
        """Return CSV text with a header, six decimals."""
        return render.to_csv(self.data)


class Printable(Protocol):
    """What can be printed and written: a ``Sheet``, or something that makes one."""

    @property
    def sheet(self) -> Sheet: ...


def sheets(made: Sequence[Printable]) -> list[Sheet]:
    """Return the sheets of tables of any kind."""
    return [one.sheet for one in made]
