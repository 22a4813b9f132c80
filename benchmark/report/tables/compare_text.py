"""A comparison of two sides as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.metrics.measures import MEASURES
from benchmark.report.records.names import dataset_title
from benchmark.report.sheets.sheet import Cell, Column, Sheet
from benchmark.report.tables.compare import Compared
from benchmark.report.tables.rows import printed
from benchmark.report.tables.uncertainty import STARS


def to_markdown(found: Compared, a: str, b: str) -> str:
    """Return the comparison as Markdown: one table of numbers per test set, a row per model."""
    config = _sheet("Configuration", f"What changed in the configuration from {a} (A) to {b} (B).", found.config)
    images = _sheet("Images", "The images that moved most in Dice, mean over the common seeds.", found.images)
    lines = [f"# {a} (A) against {b} (B)", "", "## Numbers", "", *_number_tables(found.numbers)]
    for sheet in (config, images):
        lines += [f"## {sheet.stem}", "", sheet.to_markdown() if sheet.rows else "Nothing.\n"]
    for name, cells in ((a, found.only_a), (b, found.only_b)):
        lines += [f"Only in {name}: {', '.join(cells)}", ""] if cells else []
    return "\n".join(lines)


def _number_tables(numbers: Sequence[Mapping[str, Any]]) -> list[str]:
    """One table per test set: A, B and below their difference, its interval and stars for Holm's p."""
    lines = [
        "Each cell: A → B, below B less A with its 95 % interval, paired by image and by seed. Tested is mDSC alone, "
        "from three seeds and five groups of images on (\\*, \\*\\*, \\*\\*\\*: Holm's p over all rows below 0.05, "
        "0.01, 0.001); the other measures are descriptive.",
        "",
    ]
    heads = (Column("Model", align="l"), Column("Images"), Column("Seeds"))
    for dataset in dict.fromkeys(str(row["dataset"]) for row in numbers):
        by_model: dict[str, list[Mapping[str, Any]]] = {}
        for row in numbers:
            if row["dataset"] == dataset:
                by_model.setdefault(str(row["model"]), []).append(row)
        rows = tuple(
            (Cell(model), Cell(str(mine[0]["n"])), Cell(str(mine[0]["seeds"])), *map(_moved_cell, mine))
            for model, mine in by_model.items()
        )
        notes = dict.fromkeys(
            f"{row['model']}: {row['note']}" for one in by_model.values() for row in one if row["note"]
        )
        columns = (*heads, *(Column(f"{m.plain} {m.arrow}") for m in MEASURES))
        lines += [Sheet(dataset, f"{dataset_title(dataset)}", columns, rows, tuple(notes)).to_markdown()]
    return lines


def _moved_cell(row: Mapping[str, Any]) -> Cell:
    if row["difference"] is None:
        return Cell()
    ends = "" if row["low"] is None else f" [{row['low']:+.3f}, {row['high']:+.3f}]"
    p = row["p_holm"]
    stars = "" if p is None else next((text for level, text in STARS if p < level), "")
    below = f"{row['difference']:+.3f}{ends}".replace("-", "−")
    return Cell(f"{printed(row['a'])} → {printed(row['b'])}", below=below, sup=stars, value=row["difference"])


def _sheet(stem: str, caption: str, data: Sequence[Mapping[str, Any]]) -> Sheet:
    columns = (
        tuple(
            Column(key, align="r" if key in ("a", "b", "difference", "low", "high", "p_holm") else "l")
            for key in data[0]
        )
        if data
        else ()
    )
    return Sheet(stem, caption, columns, tuple(tuple(map(_cell, row.values())) for row in data), data=tuple(data))


def _cell(value: Any) -> Cell:
    if value is None:
        return Cell()
    return Cell(printed(value), value=value) if isinstance(value, float) else Cell(str(value))
