"""The per-image scores behind each row of a table, averaged over its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchError
from benchmark.metrics.aggregate import MISS_BELOW
from benchmark.metrics.measures import COLUMNS
from benchmark.report.records.grouping import regrouped
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.rows import Row
from benchmark.report.tables.scores import Table
from benchmark.store.io import read_scores
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

if TYPE_CHECKING:
    import pandas as pd


FACTS = ("group", "height_px", "width_px", "mask_px", "area_rel", "size_bin", "num_polyps", "touches_border")
_MEANS = (*COLUMNS.values(), "dice_half", "iou_half")


@dataclass(frozen=True)
class ImageRows:
    """One row of a table and its images.

    Attributes:
        table: The table.
        row: Its row.
        images: One line per image, index ``id``: facts of the mask, ``miss`` (share of the seeds that missed the
            image) and every figure's column, mean over the row's seeds. None where the row is blank.
    """

    table: Table
    row: Row
    images: pd.DataFrame | None


def image_rows(
    records: Sequence[Record],
    results: Path,
    *,
    protocol: str = "pranet",
    models: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    recipe: str | None = None,
    split: str | None = None,
    seeds: Sequence[int] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Iterator[ImageRows]:
    """Yield the images behind each row of the tables that ``build_tables`` makes of the same arguments.

    Args:
        records: ``run.json`` contents.
        results: The folder that they came from; ``scores.parquet`` is read there.
        protocol: And the rest: as in ``build_tables``, whose rules on what may share a table hold here too.
    Raises:
        BenchError: As ``build_tables``; or the rows of a cell are unreadable or lack an image of its record.
    """
    tables = build_tables(
        records,
        protocol=protocol,
        models=models,
        datasets=datasets,
        recipe=recipe,
        split=split,
        seeds=seeds,
        titles=titles,
    )
    by_cell = {record.cell: record for record in records}
    load = lru_cache(maxsize=4)(lambda cell: regrouped(read_scores(ResultsLayout(results).cell(cell).scores)))
    for table in tables:
        for row in table.rows:
            used = [by_cell[cell] for cell in row.cells] if row.n is not None else []
            parts = [_part(load(r.cell), r, table.dataset, protocol, results) for r in used]
            yield ImageRows(table, row, _join(parts) if parts else None)


def _part(scores: pd.DataFrame, record: Record, dataset: str, protocol: str, results: Path) -> pd.DataFrame:
    rows = scores[(scores["protocol"] == protocol) & (scores["dataset"] == dataset)].set_index("id")
    wanted = record.tests[dataset].num_scored(protocol)
    if len(rows) != wanted or not rows.index.is_unique:
        path = ResultsLayout(results).cell(record.cell).scores
        raise BenchError(
            f"{path}: {len(rows)} rows for {dataset} under {protocol}, the record says {wanted}; "
            "run the cell again with --if-exists overwrite"
        )
    missed = (rows["dice"] < MISS_BELOW).astype(float)
    return rows.assign(miss=missed.where(rows["mask_px"] > 0))  # without a polyp there is none to miss


def _join(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the facts of the first seed's images and the mean of every seed's scores."""
    first = parts[0]
    means = sum(part.loc[first.index, [*_MEANS, "miss"]] for part in parts) / len(parts)
    return first[list(FACTS)].join(means)  # type: ignore[arg-type]
