"""Average ranks over the test sets as a table, with what they can and cannot tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURES, Measure
from benchmark.report.records.identity import RowKey
from benchmark.report.sheets.sheet import Cell, Column, Sheet
from benchmark.report.statistics.ranks import Ranks, average_ranks
from benchmark.report.tables.rows import Row, printed_row

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.report.tables.scores import Table


def rank_sheet(tables: Sequence[Table]) -> Sheet:
    """Rank the rows on every test set and average the places.

    A set on which no row has numbers is left out and named. A row that lacks a set, or was scored on a part of one, is
    a blank: an average over fewer sets would not compare. So that ranks do not hang on more digits than tables print,
    scores are ranked as printed; equal ones share the mean of their places.

    Args:
        tables: Tables of one kind, from ``build_tables``.
    Raises:
        BenchError: Fewer than two rows have numbers on every set.
    """
    names = {row.key: row for table in tables for row in table.rows}
    used = [table for table in tables if any(_has_all(row) for row in table.rows)]
    present = {(table.dataset, row.key) for table in used for row in table.rows if _has_all(row)}
    lacking = {name: [t for t in used if (t.dataset, name) not in present] for name in names}
    ranked = [name for name in names if used and not lacking[name]]
    if len(ranked) < 2:
        raise BenchError(
            f"--rank: {len(ranked)} of {len(names)} models have numbers on every test set, and ranks need two; "
            "choose sets with --datasets, or run the cells that are missing"
        )
    ranks = {m.key: average_ranks(_scores(used, ranked, m), higher_is_better=m.higher_is_better) for m in MEASURES}
    blank = [
        f"Blank, {names[name].title}: no whole row on {', '.join(table.title for table in missing)}"
        for name, missing in lacking.items()
        if missing
    ]
    left_out = [f"Left out, no numbers: {', '.join(t.title for t in tables if t not in used)}"]
    return Sheet(
        stem="ranks" if tables[0].kind == "main" else "ablation-ranks",
        caption=_caption(used, ranks["mDSC"], len(ranked)),
        columns=(Column("Model", align="l"), *(Column(m.plain, m.latex) for m in MEASURES)),
        rows=tuple(_row(row, name, ranks) for name, row in names.items()),
        notes=(*blank, *(left_out if len(used) < len(tables) else []), *_warnings(ranks)),
        data=tuple(_line(row, name, ranks, used) for name, row in names.items()),
    )


def _has_all(row: Row) -> bool:
    return row.is_ranked and all(row.values.get(m.key) is not None for m in MEASURES)


def _scores(used: Sequence[Table], ranked: Sequence[RowKey], measure: Measure) -> pd.DataFrame:
    import pandas as pd

    by_set = {t.dataset: {str(row.key): printed_row(row, measure.key, t.numerals) for row in t.rows} for t in used}
    return pd.DataFrame(by_set).T[[str(name) for name in ranked]]


def _caption(used: Sequence[Table], ranks: Ranks, num_ranked: int) -> str:
    facts = used[0].facts
    where = ", ".join(table.title for table in used)
    synthetic = (
        " Synthetic images: these ranks say nothing about real polyps."
        if any(table.facts.synthetic for table in used)
        else ""
    )
    return (
        f"Average rank of {num_ranked} models over {len(used)} test set{'s' if len(used) > 1 else ''} ({where}); "
        f"1 is best. Protocol {facts.protocol} ({facts.protocol_hash}). Two average ranks differ at the 5 % level only "
        f"if they are {ranks.critical_difference:.2f} apart or more (Nemenyi).{synthetic}"
    )


def _warnings(ranks: dict[str, Ranks]) -> list[str]:
    """The plain warning, and Friedman's verdict by measure."""
    first = next(iter(ranks.values()))
    p = [
        f"{m.key} {ranks[m.key].friedman_p:.3f}" for m in MEASURES if ranks[m.key].friedman_p == ranks[m.key].friedman_p
    ]
    verdict = [f"Friedman's test that all models rank alike, p by measure: {', '.join(p)}"] if p else []
    return [*([f"{first.warning[0].upper()}{first.warning[1:]}"] if first.warning else []), *verdict]


def _row(row: Row, name: RowKey, ranks: dict[str, Ranks]) -> tuple[Cell, ...]:
    cells = []
    for measure in MEASURES:
        average = ranks[measure.key].average
        mine = average.get(str(name))
        best = mine is not None and mine == min(average.values())
        cells.append(Cell() if mine is None else Cell(f"{mine:.2f}", mark="best" if best else None, value=mine))
    return (Cell(row.title, sup="†" if row.foreign else ""), *cells)


def _line(row: Row, name: RowKey, ranks: dict[str, Ranks], used: Sequence[Table]) -> dict[str, Any]:
    facts = used[0].facts
    return {
        "model": row.model,
        "model_title": row.title,
        "ablation": "+".join(row.ablation),
        **{f"{m.key}_rank": ranks[m.key].average.get(str(name)) for m in MEASURES},
        "num_sets": len(used),
        "critical_difference": ranks["mDSC"].critical_difference,
        "datasets": " ".join(table.dataset for table in used),
        "protocol": facts.protocol,
        "protocol_hash": facts.protocol_hash,
        "synthetic": any(table.facts.synthetic for table in used),
    }
