"""A sheet as LaTeX, Markdown, HTML and CSV text."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.report.tables import escape

if TYPE_CHECKING:
    from benchmark.report.tables.sheet import Cell, Column, Sheet

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

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }}
body {{ margin: 1.5rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; max-width: 70rem; padding-bottom: .6rem; }}
thead th {{ border-top: 2px solid; border-bottom: 1px solid; }}
tbody tr:last-child > * {{ border-bottom: 2px solid; }}
th, td {{ padding: .25rem .7rem; text-align: right; vertical-align: baseline; font-weight: normal; }}
th.l, td.l {{ text-align: left; }}
td small {{ display: block; opacity: .75; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def to_latex(sheet: Sheet) -> str:
    """Return a ``table`` environment for an article that loads booktabs, in a size that fits its text width."""
    size, stacked = _fit(sheet)
    lines = [
        r"\begin{table}[tbp]",
        r"  \centering",
        rf"  \caption{{{escape.latex(sheet.caption)}}}",
        rf"  \label{{tab:{sheet.stem}}}",
        *([rf"  {size.command}\setlength{{\tabcolsep}}{{{size.gap:g}pt}}"] if size.command else []),
        r"  \begin{tabular}{" + "".join(column.align for column in sheet.columns) + "}",
        r"    \toprule",
        "    " + " & ".join(column.latex or escape.latex(column.plain) for column in sheet.columns) + r" \\",
        r"    \midrule",
        *(line for row in sheet.rows for line in _latex_row(row, size, stacked)),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(rf"  \par\smallskip{{\footnotesize {escape.latex(note)}\par}}" for note in sheet.notes),
    ]
    return "\n".join([*lines, r"\end{table}", ""])


def _fit(sheet: Sheet) -> tuple[_Size, bool]:
    """Return the size that keeps the table within the line, by counting characters, and whether spreads move below."""
    for stacked, sizes in ((False, _SIZES[:-1]), (True, _SIZES)):
        for size in sizes:
            if _width(sheet, size, stacked) <= _LINE_PT:
                return size, stacked
    return _SIZES[-1], True


def _width(sheet: Sheet, size: _Size, stacked: bool) -> float:
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


def to_markdown(sheet: Sheet) -> str:
    """Return a GitHub table with the caption above and the notes below."""
    aligns = {"l": ":--", "c": ":-:", "r": "--:"}
    lines = [
        escape.markdown(sheet.caption),
        "",
        "| " + " | ".join(escape.markdown(column.plain) for column in sheet.columns) + " |",
        "|" + "|".join(aligns[column.align] for column in sheet.columns) + "|",
    ]
    lines += ["| " + " | ".join(map(_markdown_cell, row)) + " |" for row in sheet.rows]
    if sheet.notes:
        lines += ["", *(f"- {escape.markdown(note)}" for note in sheet.notes)]
    return "\n".join([*lines, ""])


def _markdown_cell(cell: Cell) -> str:
    text = escape.markdown(f"{cell.text} {cell.spread}".strip())
    if cell.mark and text:
        text = f"**{text}**" if cell.mark == "best" else f"<u>{text}</u>"
    return text + escape.markdown(cell.sup) + (f"<br>{escape.markdown(cell.below)}" if cell.below else "")


def to_html(sheet: Sheet) -> str:
    """Return a ``table`` element with its caption and, behind it, the notes; cells carry ``data-value`` to sort by."""
    lines = [
        f'<div class="scroll"><table id="{sheet.stem}">',
        f"<caption>{html.escape(sheet.caption)}</caption>",
        "<thead><tr>" + "".join(_html_head(column) for column in sheet.columns) + "</tr></thead>",
        "<tbody>",
    ]
    for row in sheet.rows:
        cells = [
            _html_cell(cell, column, i == 0) for i, (cell, column) in enumerate(zip(row, sheet.columns, strict=True))
        ]
        lines.append("<tr>" + "".join(cells) + "</tr>")
    lines.append("</tbody></table></div>")
    if sheet.notes:
        lines += ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in sheet.notes), "</ul>"]
    return "\n".join([*lines, ""])


def html_page(sheet: Sheet) -> str:
    """Return a whole page around one table; it loads nothing."""
    return PAGE.format(title=html.escape(sheet.stem), body=to_html(sheet))


def _html_head(column: Column) -> str:
    return f'<th scope="col" class="{column.align}">{html.escape(column.plain)}</th>'


def _html_cell(cell: Cell, column: Column, is_head: bool) -> str:
    text = html.escape(f"{cell.text} {cell.spread}".strip())
    if cell.mark and text:
        text = f"<strong>{text}</strong>" if cell.mark == "best" else f"<u>{text}</u>"
    text += f"<sup>{html.escape(cell.sup)}</sup>" if cell.sup else ""
    text += f"<small>{html.escape(cell.below)}</small>" if cell.below else ""
    value = "" if cell.value is None else f' data-value="{cell.value:.6g}"'
    tag, scope = ("th", ' scope="row"') if is_head else ("td", "")
    return f'<{tag}{scope} class="{column.align}"{value}>{text}</{tag}>'


def to_csv(data: Iterable[Mapping[str, Any]]) -> str:
    """Return rows with the same keys under one header; figures with six decimals, None as a blank."""
    rows = list(data)
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _csv_value(v) for k, v in row.items()} for row in rows)
    return buffer.getvalue()


def _csv_value(value: Any) -> Any:
    """Round to six decimals: below any measure's repeatability, and short enough to read."""
    if isinstance(value, str):
        return escape.one_line(value)
    return f"{value:.6f}" if isinstance(value, float) else value
