"""The gap between parts of a dataset that trained and the one that was left out (``--split leave-out:PART``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.data.listing.datasets import SEEN
from benchmark.report.tables.scores import GAP_OF, Table


def with_gaps(tables: Sequence[Table]) -> list[Table]:
    """Add to each row how much less it has on the part left out than on held-out images of the parts that trained.

    A row has a gap where both test sets were scored; it is positive where the part left out is worse.
    """
    seen = {table.dataset: table for table in tables}
    return [_with_gaps(table, seen.get(f"{table.dataset}{SEEN}")) for table in tables]


def _with_gaps(table: Table, seen: Table | None) -> Table:
    if seen is None:
        return table
    there = {row.key: row.values.get(GAP_OF) for row in seen.rows}
    rows = []
    for row in table.rows:
        near, far = there.get(row.key), row.values.get(GAP_OF)
        rows.append(row if near is None or far is None else replace(row, gap=near - far))
    return replace(table, rows=tuple(rows))
