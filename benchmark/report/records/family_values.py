"""Values of measures on request, one file per cell and family beside the cell's scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.metrics.families import Family
from benchmark.report.records.grouping import regrouped
from benchmark.store import io
from benchmark.store.layout import CellPaths

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.store.schema import Record


def scored_digest(record: Record, dataset: str) -> str:
    """Return eight hex digits of the images and maps behind a test set's scores.

    Maps are known by the weights that made them; those of others by their mean error under one protocol.
    """
    test = record.tests[dataset]
    name = "half" if "half" in test.scores else min(test.scores, default="")
    made = record.best_sha256 or [name, test.scores.get(name, {}).get("MAE")]
    return hashlib.blake2b(json.dumps([test.fingerprint, test.n, made]).encode(), digest_size=4).hexdigest()


def read_values(paths: CellPaths, record: Record, dataset: str, family: Family) -> pd.DataFrame | None:
    """Return one line per image: id, group, facts of its mask and the family's values; None where there are none.

    Values of other images or maps than those that the record states are none.
    """
    path = paths.metric(family.name, family.code)
    if not path.is_file():
        return None
    rows = io.read_scores(path)
    if not {"dataset", "scored"} <= set(rows.columns):
        return None
    rows = rows[(rows["dataset"] == dataset) & (rows["scored"] == scored_digest(record, dataset))]
    return regrouped(rows) if len(rows) == record.tests[dataset].n else None


def write_values(paths: CellPaths, family: Family, parts: Sequence[pd.DataFrame]) -> None:
    """Add the values of some test sets to a cell's file; older ones of the same sets are replaced."""
    import pandas as pd

    path, fresh = paths.metric(family.name, family.code), pd.concat(parts, ignore_index=True)
    if path.is_file():
        old = io.read_scores(path)
        fresh = pd.concat([old[~old["dataset"].isin(fresh["dataset"].unique())], fresh], ignore_index=True)
    io.write_parquet(path, fresh)
