"""Tables as an Excel workbook: one worksheet of figures each, and one that says what they are."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.report.sheets.csv import as_text
from benchmark.report.sheets.sheet import Printable, Sheet, sheets
from benchmark.store.io import write_bytes

ABOUT = "about"
_MAX_NAME = 31
_MAX_TEXT = 32_767
_BAD = re.compile(r"[\[\]:*?/\\']+")


def check_excel(path: Path) -> None:
    """Refuse a file that is no workbook.

    Raises:
        BenchError: Its name does not end in ``.xlsx``.
    """
    if path.suffix.lower() != ".xlsx":
        raise BenchError(f"--excel {path}: expected a file name that ends in .xlsx")


def write_excel(tables: Sequence[Printable], path: Path) -> Path:
    """Write the rows of the CSV, figures as numbers in full, and on the worksheet ``about`` captions and notes.

    As in CSV no text is a formula. The file is whole or, after an error, unchanged.

    Raises:
        BenchError: No workbook's name, or the file cannot be written.
    """
    import pandas as pd

    check_excel(path)
    made = sheets(tables)
    names = _names(made)
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer, engine="openpyxl") as writer:
        for name, sheet in zip(names, made, strict=True):
            frame = pd.DataFrame([{_safe(key): _safe(value) for key, value in row.items()} for row in sheet.data])
            frame.to_excel(writer, sheet_name=name, index=False, freeze_panes=(1, 0))
        about = [
            (name, text) for name, sheet in zip(names, made, strict=True) for text in (sheet.caption, *sheet.notes)
        ]
        frame = pd.DataFrame([(name, _safe(text)) for name, text in about], columns=["worksheet", "text"])
        frame.to_excel(writer, sheet_name=ABOUT, index=False)
    write_bytes(path, buffer.getvalue())
    return path


def _safe(value: Any) -> Any:
    """Text as in CSV, and without half characters, which the format cannot hold."""
    return as_text(value)[:_MAX_TEXT].encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _names(made: Sequence[Sheet]) -> list[str]:
    """A worksheet's name for each table: the stem, as short as Excel wants it, and none twice."""
    found: list[str] = []
    for sheet in made:
        short = _BAD.sub("-", sheet.stem)[:_MAX_NAME]
        taken, number = {name.lower() for name in [*found, ABOUT]}, 1
        name = short
        while name.lower() in taken:
            number += 1
            name = f"{short[: _MAX_NAME - len(str(number)) - 1]}-{number}"
        found.append(name)
    return found
