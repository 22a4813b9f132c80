"""Robustness as tables: a summary per test set, a table by corruption, and the effects of denoising and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmark.report.sheets.sheet import Cell, Column, Sheet
from benchmark.report.tables.uncertainty import STARS
from benchmark.robustness.corruptions import CORRUPTIONS
from benchmark.robustness.rows import Change, Figure, Pair, Row, Summary

MEASURE = "mDSC"


def sheets_of(summary: Summary) -> list[Sheet]:
    """Return the tables of one test set; the last one only if there is something to compare."""
    made = [_overview(summary), _by_corruption(summary)]
    return [*made, _changes(summary)] if summary.pairs else made


def _overview(summary: Summary) -> Sheet:
    behind = any(row.denoise != "none" for row in summary.rows)
    versus = [Column(f"Δ {summary.reference}"), Column("mCE")] if summary.reference else []
    columns = [
        Column("Model", align="l"),
        Column("Clean"),
        *([Column("Clean, denoised")] if behind else []),
        Column("Corrupted"),
        Column("Retention"),
        *versus,
    ]
    best = max((row.corrupted.value for row in summary.rows), default=0.0)
    lines = []
    for row in summary.rows:
        cells = [Cell(row.title, sup="‡" if row.noise else ""), _score(row.clean)]
        cells += [_score(row.clean_denoised) if row.denoise != "none" else Cell()] if behind else []
        cells += [_score(row.corrupted, best=row.corrupted.value == best), _percent(row.retention)]
        cells += [_difference(row), _plain_percent(row.mce)] if summary.reference else []
        lines.append(tuple(cells))
    what = "retention is the corrupted score as a part of the clean one"
    if summary.reference:
        what += (
            f"; Δ is the corrupted score less that of {summary.reference}, paired by image, "
            f"{_tested([row.versus for row in summary.rows if row.versus is not None])}; mCE is the mean error "
            f"relative to that of {summary.reference}, less is better"
        )
    return Sheet(
        stem=summary.stem,
        caption=(f"{_caption(summary)} Below: 95 % intervals over groups of images and seeds; {what}. {summary.told}"),
        columns=tuple(columns),
        rows=tuple(lines),
        notes=_notes(summary),
        data=tuple(_line(row, summary) for row in summary.rows),
        combined=summary.combined,
    )


def _by_corruption(summary: Summary) -> Sheet:
    rows: list[tuple[Cell, ...]] = [(Cell("none (clean)"), *(_score(row.clean) for row in summary.rows))]
    data: list[dict[str, Any]] = []
    for name in summary.corruptions:
        best = max(row.by_corruption[name].value for row in summary.rows)
        cells = [
            _score(row.by_corruption[name], best=row.by_corruption[name].value == best, seen=name in row.noise)
            for row in summary.rows
        ]
        rows.append((Cell(CORRUPTIONS[name].title), *cells))
        data += [
            {
                "dataset": summary.dataset,
                "corruption": name,
                "corruption_hash": CORRUPTIONS[name].hash,
                "model": row.model,
                "title": row.title,
                "denoise": row.denoise,
                "seen": name in row.noise,
                MEASURE: row.by_corruption[name].value,
                "low": row.by_corruption[name].low,
                "high": row.by_corruption[name].high,
            }
            for row in summary.rows
        ]
    return Sheet(
        stem=f"{summary.stem}-corruptions",
        caption=f"{_caption(summary)} By corruption, mean over severities; below: 95 % intervals. {summary.told}",
        columns=(Column("Corruption", align="l"), *(Column(row.title) for row in summary.rows)),
        rows=tuple(rows),
        notes=_notes(summary),
        data=tuple(_no_nan(one) for one in data),
        combined=f"{summary.combined}-corruptions",
    )


def _changes(summary: Summary) -> Sheet:
    return Sheet(
        stem=f"{summary.stem}-changes",
        caption=(
            f"{_caption(summary)} What one change does to the same model: paired differences of {MEASURE} with 95 % "
            f"intervals below; {_tested([pair.corrupted for pair in summary.pairs])}."
            f" {summary.told}"
        ),
        columns=(Column("Model", align="l"), Column("Change", align="l"), Column("Clean"), Column("Corrupted")),
        rows=tuple(_pair_row(pair) for pair in summary.pairs),
        notes=_notes(summary),
        data=tuple(_pair_line(pair, summary) for pair in summary.pairs),
        combined=f"{summary.combined}-changes",
    )


def _caption(summary: Summary) -> str:
    names = ", ".join(CORRUPTIONS[name].title.lower() for name in summary.corruptions)
    severities = ", ".join(map(str, summary.severities))
    images = summary.rows[0].n
    return (
        f"{MEASURE} on corrupted images of {summary.title} ({images} images): "
        f"mean over {len(summary.corruptions)} corruptions ({names}) at severities "
        f"{severities}."
    )


def _tested(changes: Sequence[Change]) -> str:
    """Return the legend of the stars, or the note that nothing is tested: too few seeds or groups of images."""
    count = sum(math.isfinite(change.p) for change in changes)
    return f"stars for p < 0.05, 0.01 and 0.001 (Holm over {count})" if count else "nothing is tested (see the notes)"


def _notes(summary: Summary) -> tuple[str, ...]:
    seen = [f"{row.title}: {', '.join(row.noise)}" for row in summary.rows if row.noise]
    marked = [f"‡ trained with corruptions that are tested here ({'; '.join(seen)})"] if seen else []
    lacking = [] if summary.reference else ["No mCE and no differences: the reference is not among the cells"]
    return (*marked, *lacking, *summary.notes)


def _score(figure: Figure, *, best: bool = False, seen: bool = False) -> Cell:
    return Cell(
        f"{figure.value:.3f}",
        below=_ends(figure.low, figure.high, ".3f"),
        sup="‡" if seen else "",
        mark="best" if best else None,
        value=figure.value,
    )


def _percent(figure: Figure) -> Cell:
    if math.isnan(figure.value):
        return Cell()
    ends = _ends(100 * figure.low, 100 * figure.high, ".1f")
    return Cell(f"{100 * figure.value:.1f} %", below=ends, value=figure.value)


def _plain_percent(value: float | None) -> Cell:
    return Cell() if value is None else Cell(f"{100 * value:.1f} %", value=value)


def _difference(row: Row) -> Cell:
    return Cell() if row.versus is None else _compared(row.versus, row.p_holm)


def _compared(found: Change, p: float = float("nan")) -> Cell:
    stars = next((stars for level, stars in STARS if p < level), "")
    return Cell(
        f"{found.difference:+.3f}", below=_ends(found.low, found.high, "+.3f"), sup=stars, value=found.difference
    )


def _ends(low: float, high: float, form: str) -> str:
    return f"[{low:{form}}, {high:{form}}]" if math.isfinite(low) and math.isfinite(high) else ""


def _pair_row(pair: Pair) -> tuple[Cell, ...]:
    return Cell(pair.title), Cell(pair.change), _compared(pair.clean), _compared(pair.corrupted, pair.p_holm)


def _pair_line(pair: Pair, summary: Summary) -> dict[str, Any]:
    line: dict[str, Any] = {"dataset": summary.dataset, "title": pair.title, "change": pair.change}
    for name, found in (("clean", pair.clean), ("corrupted", pair.corrupted)):
        line |= {f"{name}_difference": found.difference, f"{name}_low": found.low, f"{name}_high": found.high}
    return _no_nan({**line, "corrupted_p_holm": pair.p_holm})


def _line(row: Row, summary: Summary) -> dict[str, Any]:
    versus = row.versus
    return _no_nan(
        {
            "dataset": summary.dataset,
            "model": row.model,
            "title": row.title,
            "ablation": "+".join(row.ablation),
            "recipe": row.recipe,
            "trained_with": " ".join(row.noise),
            "denoise": row.denoise,
            "seeds": " ".join(map(str, row.seeds)),
            "n": row.n,
            "clean": row.clean.value,
            "clean_denoised": row.clean_denoised.value,
            "corrupted": row.corrupted.value,
            "corrupted_low": row.corrupted.low,
            "corrupted_high": row.corrupted.high,
            "retention": row.retention.value,
            "retention_low": row.retention.low,
            "retention_high": row.retention.high,
            "mce": row.mce,
            "difference": versus.difference if versus else None,
            "difference_low": versus.low if versus else None,
            "difference_high": versus.high if versus else None,
            "p_holm": row.p_holm if versus else None,
            "reference": summary.reference or "",
            "corruptions": " ".join(summary.corruptions),
            "severities": " ".join(map(str, summary.severities)),
            "protocol": summary.protocol,
            "protocol_hash": summary.protocol_hash,
            "synthetic": summary.synthetic,
        }
    )


def _no_nan(line: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in line.items()}
