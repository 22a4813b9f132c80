"""Tables as files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import unknown_name
from benchmark.report.sheets import csv, html
from benchmark.report.sheets.sheet import FORMATS, Printable, Sheet, sheets
from benchmark.store.io import write_text


def write_tables(
    tables: Sequence[Printable], directory: Path, formats: Iterable[str] = ("latex", "markdown", "csv")
) -> list[Path]:
    """Write every table in every format, and the CSV that joins tables of one kind (``tables.csv``, ``ablations.csv``).

    Returns:
        The paths written, in order. Each file is whole or, after an error, unchanged.
    Raises:
        BenchError: An unknown format, or the folder cannot be written.
    """
    wanted = list(formats)
    for name in wanted:
        if name not in FORMATS:
            raise unknown_name("format", name, FORMATS)
    made = sheets(tables)
    texts = {directory / f"{sheet.stem}{FORMATS[name]}": _text(sheet, name) for sheet in made for name in wanted}
    if "csv" in wanted:
        joined: dict[str, list[Mapping[str, Any]]] = {}
        for sheet in made:
            joined.setdefault(sheet.combined, []).extend(sheet.data)
        texts |= {directory / f"{stem}.csv": csv.to_csv(rows) for stem, rows in joined.items() if stem}
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _text(sheet: Sheet, form: str) -> str:
    return html.html_page(sheet) if form == "html" else str(getattr(sheet, f"to_{form}")())
