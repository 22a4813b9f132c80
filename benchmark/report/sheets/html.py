"""A table as HTML: an element for any page, or a page around it that loads nothing."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from benchmark.report.sheets.cells import Cell, Column, Grid

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
th.c, td.c {{ text-align: center; }}
td small {{ display: block; opacity: .75; }}
img {{ max-width: 100%; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def to_html(sheet: Grid) -> str:
    """Return a ``table`` element with its caption and, behind it, the notes; cells carry ``data-value`` to sort by."""
    lines = [
        f'<div class="scroll"><table id="{sheet.stem}">',
        f"<caption>{html.escape(sheet.caption)}</caption>",
        f"<thead>{_html_heads(sheet)}</thead>",
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


def html_page(sheet: Grid) -> str:
    """Return a whole page around one table; it loads nothing."""
    return PAGE.format(title=html.escape(sheet.stem), body=to_html(sheet))


def html_tables(sheets: Sequence[Grid], title: str, *, picture: bytes = b"", shows: str = "") -> str:
    """Return a whole page of several tables that loads nothing.

    Args:
        sheets: The tables.
        title: Heading.
        picture: A PNG to show below them; none if empty.
        shows: What it shows, for those who do not see it.
    """
    parts = [f"<h1>{html.escape(title)}</h1>\n", *map(to_html, sheets)]
    if picture:
        data = base64.b64encode(picture).decode()
        parts.append(f'<p><img src="data:image/png;base64,{data}" alt="{html.escape(shows)}"></p>\n')
    return PAGE.format(title=html.escape(title), body="".join(parts))


def _html_heads(sheet: Grid) -> str:
    """One row of heads, or two where columns have a head above."""
    heads = "".join(_html_head(column) for column in sheet.columns)
    if not any(column.group for column in sheet.columns):
        return f"<tr>{heads}</tr>"
    above = [
        f'<th scope="colgroup" colspan="{count}" class="c">{html.escape(name)}</th>' if name else "<td></td>" * count
        for name, count in sheet.groups
    ]
    return f"<tr>{''.join(above)}</tr><tr>{heads}</tr>"


def _html_head(column: Column) -> str:
    return f'<th scope="col" class="{column.align}">{html.escape(column.plain)}</th>'


def _html_cell(cell: Cell, column: Column, is_head: bool) -> str:
    text = html.escape(f"{cell.text} {cell.spread}".strip())
    if cell.mark in ("best", "second") and text:
        text = f"<strong>{text}</strong>" if cell.mark == "best" else f"<u>{text}</u>"
    text += f"<sup>{html.escape(cell.sup)}</sup>" if cell.sup else ""
    text += f"<small>{html.escape(cell.below)}</small>" if cell.below else ""
    value = "" if cell.value is None else f' data-value="{cell.value:.6g}"'
    tag, scope = ("th", ' scope="row"') if is_head else ("td", "")
    return f'<{tag}{scope} class="{column.align}"{value}>{text}</{tag}>'
