"""Scores by kind of image: polyp size, sequence, number of polyps, touching the border; with the miss rate."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from benchmark.errors import unknown_name
from benchmark.metrics.aggregate import MISS_BELOW
from benchmark.metrics.measures import COLUMNS, MEASURES
from benchmark.metrics.strata import LARGE_FROM, SIZE_BINS, SMALL_BELOW
from benchmark.report.sheets.escape import label
from benchmark.report.sheets.listing import Field, listing
from benchmark.report.sheets.sheet import Sheet
from benchmark.report.tables.captions import caption
from benchmark.report.tables.image_rows import ImageRows
from benchmark.report.tables.rows import printed

if TYPE_CHECKING:
    import pandas as pd

ALL, SINGLE = "all", "single images"


@dataclass(frozen=True)
class _By:
    """How images are grouped: column of ``scores.parquet``, and the caption's words."""

    column: str
    words: str
    legend: str


BY = {
    "size": _By(
        "size_bin",
        "by polyp size",
        f"Size by share of the image: small below {SMALL_BELOW:.0%}, medium below {LARGE_FROM:.0%}, large from there",
    ),
    "group": _By("group", "by sequence", "A group is a video sequence or a cluster of duplicates"),
    "polyps": _By("num_polyps", "by number of polyps", "Polyps are counted as 8-connected parts of the mask"),
    "border": _By("touches_border", "by touching the border", "Border: foreground in the first or last row or column"),
}
"""What ``bench tables --by`` takes."""

_FIELDS = (
    Field("stratum", "Stratum", "Stratum", number=False),
    Field("model_title", "Model", "Model", number=False),
    Field("n", "$n$", "n"),
    *(Field(m.key, m.latex, f"{m.plain} {m.arrow}", printed) for m in MEASURES),
    Field("miss_rate", "Miss rate", "Miss rate ↓", printed),
)


def strata_tables(images: Iterable[ImageRows], by: str) -> list[Sheet]:
    """Build one table per test set: a line per stratum and model, and one over all images.

    A figure is the mean over the stratum's images and the row's seeds; ``E_phi_max`` is taken at the threshold of
    the whole set, so that strata add up to the set. ``miss_rate`` is the share of images with Dice below 0.1 among
    those with a polyp; without any it is undefined.

    Args:
        images: From ``image_rows``.
        by: A key of ``BY``.
    Raises:
        BenchError: Unknown ``by``.
    """
    if by not in BY:
        raise unknown_name("--by", by, BY)
    return [_build(list(rows), by) for _, rows in groupby(images, key=lambda one: one.table.dataset)]


def _build(found: Sequence[ImageRows], by: str) -> Sheet:
    table = found[0].table
    lines = [line for one in found for line in _lines(one, by)]
    order = {name: i for i, name in enumerate(in_order({line["stratum"] for line in lines}, by))}
    lines.sort(key=lambda line: order[line["stratum"]])  # stable: models keep the table's order
    miss = f"Miss rate: share of images with Dice below {MISS_BELOW:g}{_without_polyp(found)}"
    return listing(
        stem=f"strata-{by}-{label(table.dataset)}",
        caption=f"{caption(f'Results {BY[by].words}', table.title, table.facts)} {BY[by].legend}. {miss}.",
        fields=_FIELDS,
        rows=tuple(lines),
        notes=table.notes,
    )


def _without_polyp(found: Sequence[ImageRows]) -> str:
    """Return how many images show no polyp, where some do: they cannot be missed."""
    images = next((one.images for one in found if one.images is not None), None)
    num = 0 if images is None else int((images["mask_px"] == 0).sum())
    return f" among those with a polyp; {num} of {len(images)} have none" if num and images is not None else ""


def _lines(one: ImageRows, by: str) -> list[dict[str, Any]]:
    if one.images is None:
        return [_line(one, by, ALL, None)]
    strata = strata_of(one.images, by)
    parts = [_line(one, by, str(name), part) for name, part in one.images.groupby(strata, sort=False)]
    return [*parts, _line(one, by, ALL, one.images)]


def strata_of(images: pd.DataFrame, by: str) -> pd.Series[Any]:
    """Return each image's stratum; groups of a single image are put together."""
    values = images[BY[by].column]
    if by == "border":
        return values.map({True: "touches", False: "inside"})
    if by == "group":
        return values.where(values.map(values.value_counts()) > 1, SINGLE)
    return values.astype(str)


def in_order(names: Iterable[str], by: str) -> list[str]:
    def key(name: str) -> tuple[bool, bool, Hashable]:
        rank: Any = SIZE_BINS.index(name) if name in SIZE_BINS else 0
        if by == "polyps" and name.isdecimal():
            rank = int(name)
        return (name == ALL, name == SINGLE, (rank, name))

    return sorted(names, key=key)  # type: ignore[arg-type]


def _line(one: ImageRows, by: str, stratum: str, part: pd.DataFrame | None) -> dict[str, Any]:
    facts, row = one.table.facts, one.row
    blank = part is None
    return {
        "dataset": one.table.dataset,
        "by": by,
        "stratum": stratum,
        "model": row.model,
        "model_title": row.title + ("†" if row.foreign else ""),
        "n": None if part is None else len(part),
        **{key: None if part is None else float(part[column].mean()) for key, column in COLUMNS.items()},
        "miss_rate": None if part is None or part["miss"].isna().all() else float(part["miss"].mean()),
        "protocol": facts.protocol,
        "protocol_hash": facts.protocol_hash,
        "seeds": " ".join(map(str, row.seeds)),
        "synthetic": facts.synthetic,
        "note": (row.reason or "") if blank else "",
    }
