"""A table as LaTeX, in a size that fits the text width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmark.report.sheets import escape
from benchmark.report.sheets.cells import Cell, Grid

_LINE_PT = 345.0  # text width of a bare article
_PAGE_PT = 410.0  # of one in two columns, the narrowest page of two columns in use
_NUMBER = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")


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
    """Return a ``table`` environment in a size that fits an article's text width; a comment names its packages.

    Columns that do not fit even in the smallest size continue below, with the first column repeated.
    """
    size, stacked = _fit(sheet)
    panels = _panels(sheet, size, stacked)
    name = "table*" if sheet.wide else "table"
    lines = [
        rf"% needs \usepackage{{{','.join(_packages(sheet))}}}",
        rf"\begin{{{name}}}[tbp]",
        r"  \centering",
        rf"  \caption{{{escape.latex(sheet.caption)}}}",
        rf"  \label{{tab:{sheet.stem}}}",
        *([rf"  {size.command}\setlength{{\tabcolsep}}{{{size.gap:g}pt}}"] if size.command else []),
        *(line for k, panel in enumerate(panels) for line in _tabular(panel, size, stacked, first=k == 0)),
        *(rf"  \par\smallskip{{\footnotesize {escape.latex(note)}\par}}" for note in sheet.notes),
    ]
    return "\n".join([*lines, rf"\end{{{name}}}", ""])


def _packages(sheet: Grid) -> list[str]:
    """What the table needs beside LaTeX itself."""
    checks = any(cell.mark == "check" for row in sheet.rows for cell in row)
    return ["booktabs", *(["amssymb"] if checks else []), *(["siunitx"] if sheet.siunitx else [])]


def _line_pt(sheet: Grid) -> float:
    return _PAGE_PT if sheet.wide else _LINE_PT


def _tabular(sheet: Grid, size: _Size, stacked: bool, *, first: bool) -> list[str]:
    aligns = [_align(sheet, k) for k in range(len(sheet.columns))]
    heads = [column.latex or escape.latex(column.plain) for column in sheet.columns]
    heads = [f"{{{head}}}" if align.startswith("S") else head for head, align in zip(heads, aligns, strict=True)]
    return [
        *([] if first else [r"  \par\medskip"]),
        *([r"  \sisetup{detect-weight=true,mode=text}"] if sheet.siunitx and first else []),
        r"  \begin{tabular}{" + "".join(aligns) + "}",
        r"    \toprule",
        *_heads_above(sheet),
        "    " + " & ".join(heads) + r" \\",
        r"    \midrule",
        *(line for row in sheet.rows for line in _latex_row(row, size, stacked, sheet.siunitx)),
        r"    \bottomrule",
        r"  \end{tabular}",
    ]


def _heads_above(sheet: Grid) -> list[str]:
    """The heads that columns share, each over a rule; nothing where no column has one."""
    if not any(column.group for column in sheet.columns):
        return []
    heads, rules, start = [], [], 1
    for name, count in sheet.groups:
        if name:
            heads.append(rf"\multicolumn{{{count}}}{{c}}{{{escape.latex(name)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}")
        else:
            heads += [""] * count
        start += count
    return ["    " + " & ".join(heads) + r" \\", "    " + " ".join(rules)]


def _align(sheet: Grid, k: int) -> str:
    """A column's letter; with siunitx a column of figures states how many digits stand before and behind the point."""
    cells = [row[k] for row in sheet.rows]
    found = [match for cell in cells if (match := _NUMBER.fullmatch(cell.text))]
    if not sheet.siunitx or not found or len(found) < sum(bool(cell.text) for cell in cells):
        return sheet.columns[k].align
    before, behind = (max(len(match[part] or "") for match in found) for part in (1, 2))
    return f"S[table-format={before}.{behind}]"


def _panels(sheet: Grid, size: _Size, stacked: bool) -> list[Grid]:
    """Part the columns into as few tables as the line allows, each with the first column; a group stays whole."""
    parts: list[list[int]] = [[]]
    for columns in _inseparable(sheet):
        if parts[-1] and _width(_columns(sheet, [0, *parts[-1], *columns]), size, stacked) > _line_pt(sheet):
            parts.append([])
        parts[-1] += columns
    return [_columns(sheet, [0, *part]) for part in parts] if len(parts) > 1 else [sheet]


def _inseparable(sheet: Grid) -> list[list[int]]:
    """The columns behind the first, those under one head together."""
    found: list[list[int]] = []
    start = 0
    for name, count in sheet.groups:
        columns = list(range(max(start, 1), start + count))
        found += [columns] if name else [[column] for column in columns]
        start += count
    return found


def _columns(sheet: Grid, chosen: Sequence[int]) -> Grid:
    columns = tuple(sheet.columns[i] for i in chosen)
    return replace(sheet, columns=columns, rows=tuple(tuple(row[i] for i in chosen) for row in sheet.rows))


def _fit(sheet: Grid) -> tuple[_Size, bool]:
    """Return the size that keeps the table within the line, by counting characters, and whether spreads move below."""
    for stacked, sizes in ((False, _SIZES[:-1]), (True, _SIZES)):
        for size in sizes:
            if _width(sheet, size, stacked) <= _line_pt(sheet):
                return size, stacked
    return _SIZES[-1], True


def _width(sheet: Grid, size: _Size, stacked: bool) -> float:
    def width(cell: Cell) -> float:
        inline = f"{cell.text} {cell.spread}" if cell.spread and not stacked else cell.text
        small = max(len(cell.below), len(cell.spread) if stacked else 0)
        return max((len(inline) + 0.7 * len(cell.sup)) * size.point, small * size.below_point)

    columns = zip(*sheet.rows, strict=True) if sheet.rows else [()] * len(sheet.columns)
    heads = (len(column.plain) * size.point for column in sheet.columns)
    widest = [max([head, *map(width, cells)]) for head, cells in zip(heads, columns, strict=True)]
    total, start = 2 * size.gap * len(sheet.columns), 0
    for name, count in sheet.groups:
        total += max(sum(widest[start : start + count]), (len(name) * size.point) if name else 0.0)
        start += count
    return total


def _latex_row(row: Sequence[Cell], size: _Size, stacked: bool, siunitx: bool) -> list[str]:
    """One line of the table, and a line below for what stands below."""
    lines = [[_latex_cell(cell, inline=not stacked, siunitx=siunitx) for cell in row]]
    lines += [[_latex_below(cell.spread, size) for cell in row]] if stacked else []
    lines += [[_latex_below(cell.below, size) for cell in row]]
    full = [line for line in lines if any(line)]
    ends = [r" \\[-1pt]"] * (len(full) - 1) + [r" \\[2pt]" if len(full) > 1 else r" \\"]
    return ["    " + " & ".join(line) + end for line, end in zip(full or lines[:1], ends or [r" \\"], strict=True)]


def _latex_cell(cell: Cell, *, inline: bool, siunitx: bool) -> str:
    if cell.mark == "check":
        return r"$\checkmark$"
    if siunitx and _NUMBER.fullmatch(cell.text) and not (cell.spread and inline) and not cell.sup:
        plain = {"best": rf"\bfseries {cell.text}", "second": rf"{{\underline{{{cell.text}}}}}"}
        return plain.get(cell.mark or "", cell.text)
    text = escape.latex(f"{cell.text} {cell.spread}" if cell.spread and inline else cell.text)
    text = text.replace(r" $\pm$ ", r"\,$\pm$\,")
    if cell.mark == "best":
        text = rf"\textbf{{{text}}}"
    elif cell.mark == "second":
        text = rf"\underline{{{text}}}"
    stars = cell.sup.replace("†", r"\dagger")
    whole = text + (f"$^{{{stars}}}$" if stars else "")
    return f"{{{whole}}}" if siunitx and whole else whole


def _latex_below(text: str, size: _Size) -> str:
    return rf"{{{size.below} {escape.latex(text)}}}" if text else ""
