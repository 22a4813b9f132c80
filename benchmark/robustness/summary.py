"""Results on corrupted test sets -> one row per model, recipe and denoiser.

A row's images carry several figures at once: the clean score, each corruption's mean over severities, and the mean over
all of them; ``comparisons`` adds intervals and differences.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.listing.groups import group_word
from benchmark.errors import BenchError
from benchmark.report.records.grouping import regrouped
from benchmark.report.records.names import model_order, model_title, recorded_model
from benchmark.report.records.select import recipe_label
from benchmark.report.statistics.limits import caution
from benchmark.report.tables.captions import common_facts, gather_facts
from benchmark.report.tables.rows import describe_weights
from benchmark.robustness.comparison_files import Comparison
from benchmark.robustness.comparisons import against, find_pairs, with_intervals
from benchmark.robustness.rows import Figure, Floats, Row, Summary
from benchmark.scoring.map_records import ORIGIN_MAPS
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.robust_pack import find_result, find_rows
from benchmark.store.robust_results import CLEAN, result_path
from benchmark.store.schema import Record

if TYPE_CHECKING:
    import pandas as pd


GroupKey = tuple[str, tuple[str, ...], str]
"""Model, parts left out, recipe and split."""


@dataclass(frozen=True)
class Cell:
    """A finished cell: its record and its files."""

    record: Record
    paths: CellPaths


def summarise(comparison: Comparison, layout: ResultsLayout) -> list[Summary]:
    """Summarise the results, test set by test set; nothing is measured, no image is read.

    Raises:
        BenchError: A cell or a result is missing, damaged or outdated, or two cells share model, recipe and seed.
    """
    cells = []
    for name in comparison.cells:
        paths = layout.cell(name)
        if not paths.record.is_file():
            raise BenchError(f"{paths.record}: not found; run the cell, then bench robust, again")
        cells.append(Cell(io.read_record(paths.record), paths))
        lacking = next((dataset for dataset in comparison.corruptions if dataset not in cells[-1].record.tests), None)
        if lacking is not None:
            raise BenchError(f"{paths.record}: did not score {lacking}; run bench robust again")
    return [_one_set(comparison, cells, dataset) for dataset in comparison.corruptions]


def _one_set(comparison: Comparison, cells: Sequence[Cell], dataset: str) -> Summary:
    groups = _group(cells)
    told = _recipes_told(groups)
    rows = [
        _row(comparison, members, dataset, denoise, told[key])
        for key, members in groups.items()
        for denoise in comparison.denoisers
    ]
    word = group_word(dataset)
    rows = with_intervals(rows, word)
    wanted = recorded_model(comparison.reference)
    reference = next((row for row in rows if row.model == wanted and not row.ablation), None)
    if reference is not None:
        rows = against(rows, reference, comparison.corruptions[dataset], word)
    record = cells[0].record
    cautions = dict.fromkeys(caution(np.bincount(row.groups).astype(float), len(row.seeds), word) for row in rows)
    cautions.pop("", None)
    return Summary(
        dataset,
        record.tests[dataset].title,
        comparison.protocol,
        comparison.protocol_hash,
        comparison.corruptions[dataset],
        comparison.severities,
        tuple(rows),
        tuple(find_pairs(rows, word)),
        reference.title if reference is not None else None,
        record.synthetic,
        (*_foreign(groups), *(f"{text[0].upper()}{text[1:]}" for text in cautions)),
        comparison.name,
        _how_made(groups, dataset, comparison.protocol),
    )


def _recipes_told(groups: Mapping[GroupKey, Sequence[Cell]]) -> dict[GroupKey, str]:
    """What each row's title says of its recipe: nothing where all share one; noise in training by itself."""
    plain, noise = {}, {}
    for key, members in groups.items():
        record = members[0].record
        noise[key] = tuple(record.recipe.get("noise") or ())
        quiet = {name: value for name, value in record.recipe.items() if name != "noise"}
        plain[key] = "" if record.origin else recipe_label(record.model_copy(update={"recipe": quiet}))
    several = len({label for label in plain.values() if label}) > 1
    kinds = {names for names in noise.values() if names}
    words = {names: "trained with noise" if len(kinds) == 1 else f"trained with {', '.join(names)}" for names in kinds}
    return {
        key: (f" [{plain[key]}]" if several and plain[key] else "") + (f", {words[noise[key]]}" if noise[key] else "")
        for key in groups
    }


def _foreign(groups: Mapping[GroupKey, Sequence[Cell]]) -> tuple[str, ...]:
    """Return a line on rows that were not trained here."""
    records = [members[0].record for members in groups.values() if members[0].record.origin]
    told = "; ".join(f"{model_title(record.model, record.model_title)}: {record.origin}" for record in records)
    return (f"Not trained here, with unknown corruptions ({told})",) if told else ()


def _how_made(groups: Mapping[GroupKey, Sequence[Cell]], dataset: str, protocol: str) -> tuple[str, ...]:
    """Return what captions state in every table: protocol, split, recipe, seeds, weights, leaks, commit, synthetic."""
    records = [cell.record for members in groups.values() for cell in members]
    ours = [record for record in records if not record.origin]
    facts = gather_facts(records, (), dataset, protocol, tuple(sorted({record.seed for record in ours})))
    weights = "; ".join(dict.fromkeys(describe_weights(record) for record in ours))
    splits = "; ".join(dict.fromkeys(f"{record.split.name} (seed {record.split.seed})" for record in ours))
    recipes = ", ".join(dict.fromkeys(record.recipe_name for record in ours))  # fields that differ are in the titles
    facts = replace(facts, weights=weights, split=splits, recipe=recipes)
    return tuple(common_facts([("", facts)], with_std=False))


def _order(cell: Cell) -> tuple[object, ...]:
    record = cell.record
    return model_order(record.model), record.ablation, bool(record.recipe.get("noise")), record.cell


def _group(cells: Sequence[Cell]) -> dict[GroupKey, list[Cell]]:
    """Cells of one row: they differ in the seed only."""
    groups: dict[GroupKey, list[Cell]] = {}
    ordered = sorted(cells, key=_order)
    for cell in ordered:
        record = cell.record
        label = record.cell if record.origin else f"{recipe_label(record)}, {record.split.name}"
        members = groups.setdefault((record.model, tuple(record.ablation), label), [])
        if any(one.record.seed == record.seed for one in members):
            raise BenchError(
                f"two cells of {record.model} with seed {record.seed}: {members[0].record.cell} and {record.cell}; "
                "choose one with --runs"
            )
        members.append(cell)
    return groups


def _row(
    comparison: Comparison,
    members: Sequence[Cell],
    dataset: str,
    denoise: str,
    told: str,
) -> Row:
    record = members[0].record
    corruptions, severities, protocol = comparison.corruptions[dataset], comparison.severities, comparison.protocol
    behind = [_read(protocol, one, dataset, CLEAN, 0, denoise) for one in members]  # (S) of (n,)
    clean = [_read(protocol, one, dataset, CLEAN, 0, "none") for one in members]
    scores = np.array(
        [
            [[_read(protocol, one, dataset, name, severity, denoise) for severity in severities] for one in members]
            for name in corruptions
        ]
    )  # (C, S, severities, n)
    by_corruption = scores.mean(axis=2)
    mean = by_corruption.mean(axis=0)
    first = np.asarray(clean)
    ratio = mean.mean() / first.mean() if first.mean() else float("nan")
    linear = ratio + (mean - ratio * first) / first.mean() if first.mean() else np.zeros_like(mean)
    frame = _rows_of(protocol, members[0], dataset)
    title = model_title(record.model, record.model_title)
    title += f" w/o {', '.join(record.ablation)}" if record.ablation else ""
    recipe, trained_with = recipe_label(record), tuple(record.recipe.get("noise") or ())
    name = title + told
    name += f" + {denoise}" if denoise != "none" else ""
    stack = np.concatenate([first[None], np.asarray(behind)[None], by_corruption, mean[None], linear[None]])
    figures = [Figure(float(value)) for value in stack.mean(axis=(1, 2))]
    return Row(
        name,
        record.model,
        name,
        tuple(record.ablation),
        recipe,
        trained_with,
        json.dumps(
            {key: value for key, value in record.recipe.items() if key not in ("name", "noise")}, sort_keys=True
        ),
        tuple(one for one in trained_with if one in corruptions),
        denoise,
        tuple(one.record.seed for one in members),
        first.shape[1],
        clean=figures[0],
        clean_denoised=figures[1],
        by_corruption=dict(zip(corruptions, figures[2:-2], strict=True)),
        by_severity={s: float(scores[:, :, i].mean()) for i, s in enumerate(severities)},
        corrupted=figures[-2],
        retention=figures[-1],
        scores=stack,
        groups=np.unique(frame["group"].astype(str), return_inverse=True)[1].astype(np.int64),
        cells=tuple(one.record.cell for one in members),
        ids=tuple(map(str, frame.index)),
    )


def _read(protocol: str, cell: Cell, dataset: str, corruption: str, severity: int, denoise: str) -> Floats:
    """Per-image Dice, (n,), in the order of ids."""
    if corruption == CLEAN and denoise == "none":
        return np.asarray(_rows_of(protocol, cell, dataset)["dice"], dtype=float)
    key = (dataset, corruption, severity, denoise)
    path, found = result_path(cell.paths, *key), find_result(cell.paths, *key)
    if found is None:
        raise BenchError(f"{path}: not found; run bench robust again")
    weights = cell.record.pretrained.get("sha256") if cell.record.origin else cell.record.best_sha256
    if cell.record.origin != ORIGIN_MAPS and found.best_sha256 != weights:
        raise BenchError(f"{path}: measured with other weights than the cell's; run bench robust again")
    return np.asarray(find_rows(cell.paths, *key, protocol)["dice"], dtype=float)


def _rows_of(protocol: str, cell: Cell, dataset: str) -> pd.DataFrame:
    """The cell's own rows of a test set, index ``id``."""
    rows = regrouped(io.read_scores(cell.paths.scores, ["protocol", "dataset", "id", "group", "dice"]))
    rows = rows[(rows["protocol"] == protocol) & (rows["dataset"] == dataset)].set_index("id").sort_index()
    if rows.empty:
        raise BenchError(
            f"{cell.paths.scores}: no rows of {dataset} under {protocol}; choose another --protocol, or run "
            "the cell again"
        )
    return rows
