"""Our numbers compared with published ones: difference and verdict, or why they are not comparable."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES, Measure
from benchmark.report.literature.published import PublishedRow
from benchmark.report.literature.rules import half_unit
from benchmark.report.records import select
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.names import DATASET_TITLES
from benchmark.report.sheets.escape import label
from benchmark.report.sheets.sheet import Cell, Column, Sheet
from benchmark.report.tables.captions import caption
from benchmark.report.tables.rows import Row, printed
from benchmark.report.tables.scores import Table
from benchmark.store.schema import Record

_LEGEND = (
    "Reproduced: ours prints as the paper's number. Within interval: the paper's number lies in our 95 % interval of "
    "the mean over other images and other seeds, which is generous where the images are the same. Not reproduced: it "
    "lies outside"
)


@dataclass(frozen=True)
class Match:
    """A row of ours and the printed row of the same model on the same test set.

    Attributes:
        index: Of the row in its table.
        reasons: Why the two are not comparable, such as ``split: pranet there, paper here``; empty if they do.
    """

    index: int
    row: Row
    published: PublishedRow
    reasons: tuple[str, ...]


def against_published(
    tables: Sequence[Table], records: Sequence[Record], published: Sequence[PublishedRow]
) -> list[Sheet]:
    """Build one table per test set and paper.

    Args:
        tables: From ``build_tables`` with ``ci``.
        records: The records that they were made from.
        published: Printed rows; ``read_published``.
    Raises:
        BenchError: No published number is of a model and a test set in the tables.
    """
    by_cell = {record.cell: record for record in records}
    sheets = []
    for table in tables:
        papers = dict.fromkeys(one.paper for one in published)
        for paper in papers:
            printed_rows = [one for one in published if one.paper == paper and is_set(one.dataset, table.dataset)]
            matches = [m for i, row in enumerate(table.rows) for m in _matches(i, row, table, by_cell, printed_rows)]
            if matches:
                sheets.append(_sheet(table, paper, matches))
    if not sheets:
        have = ", ".join(table.title for table in tables)
        raise BenchError(
            f"--published: no published number for the models on {have}; the papers report "
            f"{', '.join(dict.fromkeys(one.dataset for one in published))}"
        )
    return sheets


def is_set(printed_name: str, dataset: str) -> bool:
    """Return whether a paper's name of a test set means ``dataset``."""
    titles = {title.lower(): key for key, title in DATASET_TITLES.items()}
    name = printed_name.lower()
    return titles.get(name, name) == dataset


def is_model(printed_name: str, row: Row) -> bool:
    """Return whether a paper's name of a model means the model of a row: U-Net is unet, Unet++ is unetplusplus."""
    return _plain(printed_name) in (_plain(row.model), _plain(row.title.removesuffix(" (ours)")))


def verdict(ours: float, published: Any, interval: tuple[float, float] | None) -> str:
    """Return ``reproduced``, ``within interval``, ``not reproduced`` or ``no verdict (no interval)``.

    Args:
        ours: Our mean.
        published: The printed ``Decimal``; it stands for half a unit of its last digit on either side.
        interval: Ends of our interval; None where none can be given.
    """
    half, value = float(half_unit(published)), float(published)
    if abs(ours - value) <= half + 1e-9:
        return "reproduced"
    if interval is None:
        return "no verdict (no interval)"
    return "within interval" if interval[0] - half <= value <= interval[1] + half else "not reproduced"


def differences(
    published: PublishedRow, record: Record, row: Row, *, protocol: str, incomplete: Mapping[str, str]
) -> list[str]:
    """Return why a published number and one of ours are not comparable.

    Maps and checkpoints by a model's authors count as trained by them: with their split, recipe and weights.
    """
    theirs = is_foreign(record)
    split = "pranet" if theirs else record.split.name
    recipe = "native" if theirs else select.recipe_label(record)
    pretrained = "yes" if theirs or row.weights.startswith("pretrained") else "no"
    found = [
        _differs("protocol", published.protocol, protocol),
        _differs("split", published.split, split),
        _differs("pretraining", published.pretrained, pretrained),
        _differs("recipe", published.recipe, recipe),
    ]
    if published.split.startswith("random"):
        found[1] = f"split: {published.split} there, whose draw is not published"
    if published.n is not None and row.n != published.n:
        found.append(f"data: {published.n} test images there, {row.n} here")
    if incomplete and not theirs:
        found.append(f"data: training set incomplete here ({', '.join(f'{k} {v}' for k, v in incomplete.items())})")
    if record.synthetic:
        found.append("data: synthetic here")
    return [text for text in found if text]


def _differs(what: str, there: str, here: str) -> str:
    if not there:
        return f"{what}: not stated by the paper"
    return "" if there == here else f"{what}: {there} there, {here or 'unknown'} here"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "plus"))


def _matches(
    i: int, row: Row, table: Table, by_cell: Mapping[str, Record], published: Sequence[PublishedRow]
) -> list[Match]:
    found = []
    for one in published:
        if not row.ablation and one.values and is_model(one.model, row):
            record = by_cell.get(row.cells[0]) if row.cells else None
            reasons = [f"no number of ours: {row.reason}"]
            if record is not None:
                incomplete = record.partial
                reasons = differences(one, record, row, protocol=table.facts.protocol, incomplete=incomplete)
            found.append(Match(i, row, one, tuple(reasons)))
    return found


def _sheet(table: Table, paper: str, matches: Sequence[Match]) -> Sheet:
    letters = {
        reasons: chr(ord("a") + k) for k, reasons in enumerate(dict.fromkeys(m.reasons for m in matches if m.reasons))
    }
    first = matches[0].published
    lines = [(match, measure) for match in matches for measure in MEASURES if measure.key in match.published.values]
    setup = f"; {first.setup}" if first.setup else ""
    heads = ("Model", "Measure", "Published", "Ours", "Difference", "95 % interval", "Verdict")
    aligns = ("l", "l", "r", "r", "r", "r", "l")
    return Sheet(
        stem=f"published-{label(paper)}-{label(table.dataset)}",
        caption=(
            f"{caption('Published and own results', table.title, table.facts)} "
            f"Published: {paper} ({first.table}{setup}). {_LEGEND}."
        ),
        columns=tuple(Column(head, align=align) for head, align in zip(heads, aligns, strict=True)),  # type: ignore[arg-type]
        rows=tuple(_cells(table, match, measure, letters) for match, measure in lines),
        notes=(*(f"{letter}: {'; '.join(reasons)}" for reasons, letter in letters.items()), *table.notes),
        data=tuple(_line(table, match, measure) for match, measure in lines),
        combined="published",
    )


def _judge(
    table: Table, match: Match, measure: Measure
) -> tuple[float | None, float | None, tuple[float, float] | None, str]:
    """Return our number, its difference from the printed one, its interval and the verdict."""
    ours = match.row.values.get(measure.key)
    published = match.published.values[measure.key]
    ends = table.uncertainty.intervals.get((match.index, measure.key))
    if ours is None:
        return None, None, None, "not comparable" if match.reasons else "no number"
    word = "not comparable" if match.reasons else verdict(ours, published, ends)
    return ours, ours - float(published), ends, word


def _cells(table: Table, match: Match, measure: Measure, letters: Mapping[tuple[str, ...], str]) -> tuple[Cell, ...]:
    ours, difference, ends, word = _judge(table, match, measure)
    is_first = measure.key == next(iter(m.key for m in MEASURES if m.key in match.published.values))
    dagger = "†" if match.row.foreign and is_first else ""
    published = match.published.values[measure.key]
    return (
        Cell(match.row.title if is_first else "", sup=dagger),
        Cell(measure.key),
        Cell(str(published), value=float(published)),
        Cell() if ours is None else Cell(printed(ours), value=ours),
        Cell() if difference is None else Cell(f"{difference:+.3f}".replace("-", "−"), value=difference),
        Cell(f"[{printed(ends[0])}, {printed(ends[1])}]") if ends else Cell(),
        Cell(f"{word} ({letters[match.reasons]})" if match.reasons else word),
    )


def _line(table: Table, match: Match, measure: Measure) -> dict[str, Any]:
    ours, difference, ends, word = _judge(table, match, measure)
    facts, row = table.facts, match.row
    return {
        "dataset": table.dataset,
        "model": row.model,
        "model_title": row.title,
        "measure": measure.key,
        "published": str(match.published.values[measure.key]),
        "ours": ours,
        "difference": difference,
        "low": ends[0] if ends else None,
        "high": ends[1] if ends else None,
        "verdict": word,
        "differs": "; ".join(match.reasons),
        "paper": match.published.paper,
        "table": match.published.table,
        "source": match.published.source,
        "n": row.n,
        "n_published": match.published.n,
        "seeds": " ".join(map(str, row.seeds)),
        "protocol": facts.protocol,
        "protocol_hash": facts.protocol_hash,
        "split": "" if row.foreign else facts.split,
        "recipe": "" if row.foreign else facts.recipe,
        "weights": row.weights,
        "origin": row.origin,
        "synthetic": facts.synthetic,
    }
