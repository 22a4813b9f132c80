"""The result of an ablation: each variant's scores, its paired differences from the full model, and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.metrics.measures import COLUMNS, MEASURE_KEYS, MEASURES
from benchmark.report.records.blocks import make_blocks
from benchmark.report.records.names import dataset_title
from benchmark.report.sheets.csv import to_csv
from benchmark.report.sheets.files import write_tables
from benchmark.report.sheets.html import html_tables
from benchmark.report.sheets.sheet import Cell, Column, Sheet
from benchmark.report.statistics.comparisons import paired_comparisons
from benchmark.report.tables.captions import caption, gather_facts
from benchmark.report.tables.rows import group_cells, make_row, part_title, printed, row_title
from benchmark.report.tables.uncertainty import STARS
from benchmark.store.io import write_text
from benchmark.store.schema import Record

if TYPE_CHECKING:
    import pandas as pd

TRAINED, OFF = "trained without", "switched off"
_COSTS = (("num_params", "Params (M)", 1e-6, 2), ("gmacs", "GMACs", 1.0, 2), ("latency_ms", "Latency (ms)", 1.0, 0))
"""Field of a row, head of its column, factor and decimals."""


def ablation_tables(
    records: Sequence[Record],
    rows: Sequence[pd.DataFrame],
    costs: Mapping[tuple[str, ...], Mapping[str, float]],
    *,
    switched: Sequence[tuple[tuple[str, ...], int, pd.DataFrame]] = (),
    protocol: str = "pranet",
) -> tuple[list[Sheet], pd.DataFrame]:
    """Compare the variants of one model with its full form, per test set.

    Args:
        records: Finished cells of one model: every variant with the same seeds, recipe and split.
        rows: Per-image rows of each, in the same order.
        costs: ``num_params``, ``gmacs`` and ``latency_ms`` by dropped parts.
        switched: Parts, seed and per-image rows of full networks that were evaluated with these parts switched off.
        protocol: Whose scores.
    Returns:
        One table per test set, and the comparisons in mDSC for a forest plot.
    Raises:
        BenchError: A variant lacks a seed or an image that others have.
    """
    import pandas as pd

    names = {tuple(r.ablation): _title(r) for r in records}
    long = pd.concat(
        [f.assign(model=_title(r), seed=r.seed) for r, f in zip(records, rows, strict=True)], ignore_index=True
    )
    full = names[()]
    found, forest = _compare(long, full, protocol)
    offs = {parts: _off_title(records[0], parts) for parts, _, _ in switched}
    if switched:
        frames = [rows.assign(model=offs[parts], seed=seed) for parts, seed, rows in switched]
        found |= _descriptive(_compare(pd.concat([long[long["model"] == full], *frames]), full, protocol)[0], full)
    sets = list(dict.fromkeys(dataset for dataset, _ in found))
    sheets = []
    for dataset in sets:
        lines = []
        for drop in dict.fromkeys([*names, *offs]):
            told = ",".join(drop) or "none"
            if drop in names:
                fact = {"how": TRAINED if drop else "full", "drop": told, **costs.get(drop, {})}
                lines.append({"dataset": dataset, "variant": names[drop], **fact, **found[(dataset, names[drop])]})
            if drop in offs:
                fact = {"how": OFF, "drop": told}
                lines.append({"dataset": dataset, "variant": offs[drop], **fact, **found[(dataset, offs[drop])]})
        sheets.append(_sheet(records, dataset, protocol, lines))
    return sheets, forest


def _compare(
    long: pd.DataFrame, full: str, protocol: str
) -> tuple[dict[tuple[str, str], dict[str, Any]], pd.DataFrame]:
    """Scores and paired differences by test set and variant, and the comparisons in mDSC."""
    import pandas as pd

    found: dict[tuple[str, str], dict[str, Any]] = {}
    forest = pd.DataFrame()
    for measure, column in COLUMNS.items():
        blocks = [replace(block, paired=True) for block in make_blocks(long, column=column, protocol=protocol)]
        compared = paired_comparisons(blocks, reference=full)
        forest = compared if measure == "mDSC" else forest
        for block in blocks:
            for model, scores in zip(block.models, block.scores, strict=True):
                found.setdefault((block.dataset, model), {})[measure] = float(scores.mean())
        for line in compared.to_dict("records"):
            target = found[(line["dataset"], line["model"])]
            for key in ("difference", "low", "high"):
                target[f"{measure}_{key}"] = line[key]
            if measure == MEASURE_KEYS[0]:
                target |= {key: line[key] for key in ("p_holm", "reason", "note")}
    return found, forest


def _descriptive(found: dict[tuple[str, str], dict[str, Any]], full: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The lines of networks with parts switched off: nothing was trained, so nothing is tested."""
    return {key: {**line, "p_holm": np.nan, "note": ""} for key, line in found.items() if key[1] != full}


def _off_title(record: Record, parts: Sequence[str]) -> str:
    return f"{record.model_title or record.model}, {', '.join(map(part_title, parts))} off"


def write_ablation(sheets: Sequence[Sheet], folder: Path, model: str) -> list[Path]:
    """Write ``ablation-<model>-<dataset>.md`` and ``.tex``, and ``ablation-<model>.csv`` with every row and column."""
    keys = list(dict.fromkeys(key for sheet in sheets for row in sheet.data for key in row))
    named = [
        replace(
            sheet,
            stem=f"ablation-{model}-{sheet.data[0]['dataset']}",
            data=tuple({key: row.get(key) for key in keys} for row in sheet.data),
        )
        for sheet in sheets
    ]
    every = folder / f"ablation-{model}.csv"
    write_text(every, to_csv([row for sheet in named for row in sheet.data]))
    return [*write_tables(named, folder, ["markdown", "latex"]), every]


def write_ablation_page(sheets: Sequence[Sheet], folder: Path, model: str, picture: bytes) -> Path:
    """Write ``ablation-<model>.html``: every table, and the forest plot (PNG) below them; it loads nothing."""
    path = folder / f"ablation-{model}.html"
    shows = "Forest plot: difference of each variant from the full model by test set, with intervals"
    write_text(path, html_tables(sheets, f"Ablation of {model}", picture=picture, shows=shows))
    return path


def _title(record: Record) -> str:
    if record.ablation:
        return row_title(record.model, record.ablation, record.model_title)
    return f"{record.model_title or record.model} (full)"


def _sheet(records: Sequence[Record], dataset: str, protocol: str, lines: Sequence[Mapping[str, Any]]) -> Sheet:
    heads = [Column("Variant", align="l"), *(Column(f"{m.plain} {m.arrow}", m.latex) for m in MEASURES)]
    heads += [Column(head) for _, head, _, _ in _COSTS]
    return Sheet(
        stem=f"ablation-{dataset}",
        caption=f"{_caption(records, dataset, protocol)} {_below(lines)}",
        columns=tuple(heads),
        rows=tuple(_cells(line) for line in lines),
        data=tuple(lines),
    )


def _cells(line: Mapping[str, Any]) -> tuple[Cell, ...]:
    scores = (
        Cell(printed(line[m.key]), sup=_stars(line, m.key), below=_difference(line, m.key), value=line[m.key])
        for m in MEASURES
    )
    return (Cell(line["variant"]), *scores, *(_cost(line, *one) for one in _COSTS))


def _difference(line: Mapping[str, Any], key: str) -> str:
    if f"{key}_difference" not in line:
        return ""
    numbers = [line[f"{key}_{part}"] for part in ("difference", "low", "high")]
    difference, low, high = (f"{number:+.3f}".replace("-", "−") for number in numbers)
    return f"{difference} [{low}, {high}]" if numbers[1] == numbers[1] else difference


def _stars(line: Mapping[str, Any], key: str) -> str:
    p = line.get("p_holm", np.nan) if key == MEASURE_KEYS[0] else np.nan
    return next((stars for level, stars in STARS if p < level), "")


def _below(lines: Sequence[Mapping[str, Any]]) -> str:
    """Say what stands below each score, what the stars mean, and which lines were not trained."""
    off = any(line["how"] == OFF for line in lines)
    return _differences(lines) + (
        " w/o: trained without the part. Off: the full network's trained weights with the part switched off, "
        "descriptive: nothing was trained for it."
        if off
        else ""
    )


def _differences(lines: Sequence[Mapping[str, Any]]) -> str:
    reason = next((line["reason"] for line in lines if line.get("reason")), "")
    note = next((line["note"] for line in lines if line.get("note")), "")
    if reason:
        return f"Below each score: difference from the full model; its interval is not estimable ({reason})."
    text = "Below each score: difference from the full model with its 95 % interval, paired by image and by seed."
    if any(line["p_holm"] == line["p_holm"] for line in lines if "p_holm" in line):
        text += (
            f" *, **, ***: {MEASURE_KEYS[0]} differs with p < 0.05, 0.01, 0.001 after Holm's correction over all "
            "variants and test sets; the other measures are descriptive."
        )
    return f"{text} {note[0].upper()}{note[1:]}." if note else text


def _cost(line: Mapping[str, Any], key: str, head: str, factor: float, digits: int) -> Cell:
    value = line.get(key)
    return Cell() if value is None else Cell(f"{value * factor:.{digits}f}", value=float(value))


def _caption(records: Sequence[Record], dataset: str, protocol: str) -> str:
    """What every table states: protocol, split, recipe with what was changed, seeds, weights, leaks."""
    seeds = tuple(sorted({r.seed for r in records}))
    grouped = group_cells(records, models=None, kind="ablation")
    rows = [make_row(cells, key, dataset, protocol, seeds) for key, cells in grouped.items()]
    first = records[0]
    facts = gather_facts(records, rows, dataset, protocol, seeds)
    return caption(f"Ablation of {first.model_title}", dataset_title(dataset, first.tests[dataset].title), facts)
