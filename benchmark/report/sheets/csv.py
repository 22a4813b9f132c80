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
    writer.writeheader()
    writer.writerows({k: _csv_value(v) for k, v in row.items()} for row in rows)
    return buffer.getvalue()


def _csv_value(value: Any) -> Any:
    """Round to six decimals: below any measure's repeatability, and short enough to read."""
    if isinstance(value, str):
        return _as_text(escape.one_line(value))
    return f"{value:.6f}" if isinstance(value, float) else value


def _as_text(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula: names come from strangers."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) and not _NUMBER.fullmatch(text) else text
