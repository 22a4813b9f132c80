"""A table as LaTeX, in a size that fits the text width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmark.report.sheets import escape
from benchmark.report.sheets.cells import Cell, Grid

_LINE_PT = 345.0  # text width of a bare article


class _Size(NamedTuple):
    """A LaTeX size: points per character of text and of the smaller lines below, and on either side of a column."""

    command: str
    point: float
    below: str
    below_point: float
    gap: float


_SIZES = (
    _Size("", 5.4, r"\scriptsize", 3.5, 6.0),
    _Size(r"\small", 4.9, r"\scriptsize", 3.5, 4.0),
    _Size(r"\footnotesize", 4.5, r"\tiny", 3.0, 3.0),
    _Size(r"\scriptsize", 4.0, r"\tiny", 3.0, 2.0),
)


def to_latex(sheet: Grid) -> str:
    """Return a ``table`` environment in a size that fits an article's text width; a comment names its package.

    Columns that do not fit even in the smallest size continue below, with the first column repeated.
    """
    size, stacked = _fit(sheet)
    panels = _panels(sheet, size, stacked)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}[tbp]",
        r"  \centering",
        rf"  \caption{{{escape.latex(sheet.caption)}}}",
        rf"  \label{{tab:{sheet.stem}}}",
        *([rf"  {size.command}\setlength{{\tabcolsep}}{{{size.gap:g}pt}}"] if size.command else []),
        *(line for k, panel in enumerate(panels) for line in _tabular(panel, size, stacked, first=k == 0)),
        *(rf"  \par\smallskip{{\footnotesize {escape.latex(note)}\par}}" for note in sheet.notes),
    ]
    return "\n".join([*lines, r"\end{table}", ""])


def _tabular(sheet: Grid, size: _Size, stacked: bool, *, first: bool) -> list[str]:
    return [
        *([] if first else [r"  \par\medskip"]),
        r"  \begin{tabular}{" + "".join(column.align for column in sheet.columns) + "}",
        r"    \toprule",
        "    " + " & ".join(column.latex or escape.latex(column.plain) for column in sheet.columns) + r" \\",
        r"    \midrule",
        *(line for row in sheet.rows for line in _latex_row(row, size, stacked)),
        r"    \bottomrule",
        r"  \end{tabular}",
    ]


def _panels(sheet: Grid, size: _Size, stacked: bool) -> list[Grid]:
    """Part the columns into as few tables as the line allows, each with the first column."""
    parts: list[list[int]] = [[]]
    for column in range(1, len(sheet.columns)):
        if parts[-1] and _width(_columns(sheet, [0, *parts[-1], column]), size, stacked) > _LINE_PT:
            parts.append([])
        parts[-1].append(column)
    return [_columns(sheet, [0, *part]) for part in parts] if len(parts) > 1 else [sheet]


def _columns(sheet: Grid, chosen: Sequence[int]) -> Grid:
    columns = tuple(sheet.columns[i] for i in chosen)
    return Grid(sheet.stem, sheet.caption, columns, tuple(tuple(row[i] for i in chosen) for row in sheet.rows))


def _fit(sheet: Grid) -> tuple[_Size, bool]:
    """Return the size that keeps the table within the line, by counting characters, and whether spreads move below."""
    for stacked, sizes in ((False, _SIZES[:-1]), (True, _SIZES)):
        for size in sizes:
            if _width(sheet, size, stacked) <= _LINE_PT:
                return size, stacked
    return _SIZES[-1], True


def _width(sheet: Grid, size: _Size, stacked: bool) -> float:
    def width(cell: Cell) -> float:
        inline = f"{cell.text} {cell.spread}" if cell.spread and not stacked else cell.text
        small = max(len(cell.below), len(cell.spread) if stacked else 0)
        return max((len(inline) + 0.7 * len(cell.sup)) * size.point, small * size.below_point)

    columns = zip(*sheet.rows, strict=True) if sheet.rows else [()] * len(sheet.columns)
    heads = (len(column.plain) * size.point for column in sheet.columns)
    widest = (max([head, *map(width, cells)]) for head, cells in zip(heads, columns, strict=True))
    return sum(widest) + 2 * size.gap * len(sheet.columns)


def _latex_row(row: Sequence[Cell], size: _Size, stacked: bool) -> list[str]:
    """One line of the table, and a line below for what stands below."""
    lines = [[_latex_cell(cell, inline=not stacked) for cell in row]]
    lines += [[_latex_below(cell.spread, size) for cell in row]] if stacked else []
    lines += [[_latex_below(cell.below, size) for cell in row]]
    full = [line for line in lines if any(line)]
    ends = [r" \\[-1pt]"] * (len(full) - 1) + [r" \\[2pt]" if len(full) > 1 else r" \\"]
    return ["    " + " & ".join(line) + end for line, end in zip(full or lines[:1], ends or [r" \\"], strict=True)]


def _latex_cell(cell: Cell, *, inline: bool) -> str:
    text = escape.latex(f"{cell.text} {cell.spread}" if cell.spread and inline else cell.text)
    text = text.replace(r" $\pm$ ", r"\,$\pm$\,")
    if cell.mark == "best":
        text = rf"\textbf{{{text}}}"
    elif cell.mark == "second":
        text = rf"\underline{{{text}}}"
    stars = cell.sup.replace("†", r"\dagger")
    return text + (f"$^{{{stars}}}$" if stars else "")


def _latex_below(text: str, size: _Size) -> str:
    return rf"{{{size.below} {escape.latex(text)}}}" if text else ""
