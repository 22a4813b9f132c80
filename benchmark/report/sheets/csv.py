"""Rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.report.sheets import escape


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
