"""A plain table of named columns as LaTeX, Markdown and CSV text, for reports that rank nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import unknown_name
from benchmark.report import escape
from benchmark.store.io import write_text

SUFFIXES = {"latex": ".tex", "markdown": ".md", "csv": ".csv"}


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

    def to_latex(self) -> str:
        """Return a ``table`` environment; it needs ``\\usepackage{booktabs}`` and nothing else."""
        lines = [
            r"\begin{table}[tbp]",
            r"  \centering",
            rf"  \caption{{{escape.latex(self.caption)}}}",
            rf"  \label{{tab:{self.stem}}}",
            r"  \begin{tabular}{" + "".join("r" if column.number else "l" for column in self.columns) + "}",
            r"    \toprule",
            "    " + " & ".join(column.latex for column in self.columns) + r" \\",
            r"    \midrule",
            *("    " + " & ".join(map(escape.latex, self._cells(row))) + r" \\" for row in self.rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            *(rf"  \par\smallskip{{\footnotesize {escape.latex(note)}\par}}" for note in self.notes),
        ]
        return "\n".join([*lines, r"\end{table}", ""])

    def to_markdown(self) -> str:
        """Return a GitHub table with the caption above and the notes below."""
        lines = [
            escape.markdown(self.caption),
            "",
            "| " + " | ".join(column.plain for column in self.columns) + " |",
            "|" + "".join("--:|" if column.number else ":--|" for column in self.columns),
            *("| " + " | ".join(map(escape.markdown, self._cells(row))) + " |" for row in self.rows),
        ]
        if self.notes:
            lines += ["", *(f"- {escape.markdown(note)}" for note in self.notes)]
        return "\n".join([*lines, ""])

    def to_csv(self) -> str:
        """Return CSV text with a header and six decimals."""
        return to_csv([self])

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        return ["" if row[c.key] is None else c.show(row[c.key]) for c in self.columns]


def to_csv(listings: Sequence[Listing]) -> str:
    """Return the rows of several listings, which have the same keys, under one header."""
    rows = [row for listing in listings for row in listing.rows]
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _csv_value(value) for key, value in row.items()} for row in rows)
    return buffer.getvalue()


def _csv_value(value: Any) -> Any:
    if isinstance(value, str):
        return escape.one_line(value)
    return f"{value:.6f}" if isinstance(value, float) else value


def write_listings(listings: Sequence[Listing], directory: Path, formats: Iterable[str]) -> list[Path]:
    """Write every listing in every format.

    Returns:
        The paths written, in order; each file is whole or, after an error, unchanged.
    Raises:
        BenchError: An unknown format, or the folder cannot be written.
    """
    texts: dict[Path, str] = {}
    for name in formats:
        if name not in SUFFIXES:
            raise unknown_name("format", name, SUFFIXES)
        for listing in listings:
            texts[directory / f"{listing.stem}{SUFFIXES[name]}"] = getattr(listing, f"to_{name}")()
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)
