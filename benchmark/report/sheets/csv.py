"""Rows as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.report.sheets import escape

_NUMBER = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?")


def to_csv(data: Iterable[Mapping[str, Any]]) -> str:
    """Return rows with the same keys under one header; figures with six decimals, None as a blank."""
    rows = list(data)
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writerow({k: as_text(k) for k in rows[0]})
    writer.writerows({k: _csv_value(v) for k, v in row.items()} for row in rows)
    return buffer.getvalue()


def _csv_value(value: Any) -> Any:
    """Round to six decimals: below any measure's repeatability, and short enough to read."""
    if isinstance(value, str):
        return as_text(value)
    return f"{value:.6f}" if isinstance(value, float) else value


def as_text(text: str) -> str:
    """Return one line, with an apostrophe before what a spreadsheet would execute: names may be untrusted."""
    text = escape.one_line(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) and not _NUMBER.fullmatch(text) else text
