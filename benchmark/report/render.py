"""A sheet as LaTeX, Markdown, HTML and CSV text."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from benchmark.report import escape

if TYPE_CHECKING:
    from benchmark.report.sheet import Cell, Column, Sheet

_LINE_PT = 345.0  # text width of a bare article
_SIZES = (("", 5.2, 6.0), (r"\small", 4.8, 4.0), (r"\footnotesize", 4.4, 3.0), (r"\scriptsize", 3.8, 2.5))
"""LaTeX size, points per character, points on either side of a column."""

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
    size, gap = _fit(sheet)
    lines = [
        r"\begin{table}[tbp]",
        r"  \centering",
        rf"  \caption{{{escape.latex(sheet.caption)}}}",
        rf"  \label{{tab:{sheet.stem}}}",
        *([rf"  {size}\setlength{{\tabcolsep}}{{{gap:g}pt}}"] if size else []),
        r"  \begin{tabular}{" + "".join(column.align for column in sheet.columns) + "}",
        r"    \toprule",
        "    " + " & ".join(column.latex or escape.latex(column.plain) for column in sheet.columns) + r" \\",
        r"    \midrule",
    ]
    for row in sheet.rows:
        lines.append("    " + " & ".join(map(_latex_cell, row)) + r" \\")
        if any(cell.below for cell in row):
            lines[-1] += "[-2pt]"
            lines.append("    " + " & ".join(_latex_below(cell.below) for cell in row) + r" \\[2pt]")
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par\smallskip{{\footnotesize {escape.latex(note)}\par}}" for note in sheet.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _fit(sheet: Sheet) -> tuple[str, float]:
    """Return the largest size that keeps the table within the line, estimated by characters."""
    chars = [
        max(
            [
                len(column.plain),
                *(max(len(row[i].text) + len(row[i].sup), 0.8 * len(row[i].below)) for row in sheet.rows),
            ]
        )
        for i, column in enumerate(sheet.columns)
    ]
    for size, point, gap in _SIZES:
        if sum(chars) * point + 2 * gap * len(chars) <= _LINE_PT:
            return size, gap
    return _SIZES[-1][0], _SIZES[-1][2]


def _latex_cell(cell: Cell) -> str:
    text = escape.latex(cell.text).replace(r" $\pm$ ", r"\,$\pm$\,")
    if cell.mark == "best":
        text = rf"\textbf{{{text}}}"
    elif cell.mark == "second":
        text = rf"\underline{{{text}}}"
    stars = cell.sup.replace("†", r"\dagger")
    return text + (f"$^{{{stars}}}$" if stars else "")


def _latex_below(text: str) -> str:
    return rf"{{\scriptsize {escape.latex(text)}}}" if text else ""


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
    text = escape.markdown(cell.text)
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
    text = html.escape(cell.text)
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
