"""A table ready to print or write: LaTeX, Markdown, HTML or CSV.

Everything that makes a table (scores, ranks, cost, published numbers) makes a ``Sheet``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from benchmark.report.sheets import csv, html, latex, markdown
from benchmark.report.sheets.cells import Cell, Column, Grid, Mark

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "Cell", "Column", "Mark", "Printable", "Sheet", "said_once", "sheets"]

FORMATS = {"latex": ".tex", "markdown": ".md", "html": ".html", "csv": ".csv"}
"""Format -> suffix of its files."""


@dataclass(frozen=True)
class Sheet(Grid):
    """A table ready to print."""

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
        return latex.to_latex(self)

    def to_markdown(self) -> str:
        """Return a GitHub table under a caption line."""
        return markdown.to_markdown(self)

    def to_html(self) -> str:
        """Return a ``table`` element with its caption, and the notes in a list behind it."""
        return html.to_html(self)

    def to_csv(self) -> str:
        """Return CSV text with a header, six decimals."""
        return csv.to_csv(self.data)


class Printable(Protocol):
    """What can be printed and written: a ``Sheet``, or something that makes one."""

    @property
    def sheet(self) -> Sheet: ...


_OF_MANY = ("Blank, ", "Incomplete datasets")


def said_once(made: Sequence[Printable]) -> list[Sheet]:
    """Return sheets that are shown below each other: why rows are blank is said below the first one alone."""
    said: set[str] = set()
    found = []
    for sheet in sheets(made):
        kept = tuple(note for note in sheet.notes if not note.startswith(_OF_MANY) or note not in said)
        said |= set(sheet.notes)
        found.append(sheet if kept == tuple(sheet.notes) else replace(sheet, notes=kept))
    return found


def sheets(made: Sequence[Printable]) -> list[Sheet]:
    """Return the sheets of tables of any kind."""
    return [one.sheet for one in made]
