"""A table as GitHub Markdown."""

from __future__ import annotations

from benchmark.report.sheets import escape
from benchmark.report.sheets.cells import Cell, Grid


def to_markdown(sheet: Grid) -> str:
    """Return a GitHub table with the caption above and the notes below."""
    aligns = {"l": ":--", "c": ":-:", "r": "--:"}
    lines = [
        escape.markdown(sheet.caption),
        "",
        "| " + " | ".join(escape.markdown(column.whole) for column in sheet.columns) + " |",
        "|" + "|".join(aligns[column.align] for column in sheet.columns) + "|",
    ]
    lines += ["| " + " | ".join(map(_markdown_cell, row)) + " |" for row in sheet.rows]
    if sheet.notes:
        lines += ["", *(f"- {escape.markdown(note)}" for note in sheet.notes)]
    return "\n".join([*lines, ""])


def _markdown_cell(cell: Cell) -> str:
    text = escape.markdown(f"{cell.text} {cell.spread}".strip())
    if cell.mark in ("best", "second") and text:
        text = f"**{text}**" if cell.mark == "best" else f"<u>{text}</u>"
    return text + escape.markdown(cell.sup) + (f"<br>{escape.markdown(cell.below)}" if cell.below else "")
