"""Results on corrupted test sets -> one row per model, recipe and denoiser.

A row's images carry several figures at once: the clean score, each corruption's mean over severities, and the mean over
all of them; ``comparisons`` adds intervals and differences.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.listing.groups import group_word
from benchmark.errors import BenchError
from benchmark.report.records.grouping import regrouped
from benchmark.report.records.names import model_order, model_title
from benchmark.report.records.select import recipe_label
from benchmark.report.statistics.limits import caution
from benchmark.robustness.cells import Asked, Source
from benchmark.robustness.comparisons import against, find_pairs, with_intervals
from benchmark.robustness.evaluate import Unit
from benchmark.robustness.front_ends import get_denoiser
from benchmark.robustness.results import CLEAN, read_rows, result_path
from benchmark.robustness.rows import Figure, Floats, Row, Summary
from benchmark.store import io

if TYPE_CHECKING:
    import pandas as pd


def summarise(asked: Asked, sources: Sequence[Source], units: Sequence[Unit]) -> list[Summary]:
    """Summarise the results, test set by test set.

    Raises:
        BenchError: A result is missing or damaged, two cells share model, recipe and seed, or no cell of the reference.
    """
    return [_one_set(asked, sources, [u for u in units if u.dataset == name], name) for name in sources[0].items]


def _one_set(asked: Asked, sources: Sequence[Source], units: Sequence[Unit], dataset: str) -> Summary:
    corruptions = tuple(dict.fromkeys(unit.corruption for unit in units if unit.corruption != CLEAN))
    severities = tuple(sorted({unit.severity for unit in units} - {0}))
    groups = _group(sources)
    labels = [get_denoiser(name).label for name in asked.denoisers]
    rows = [
        _row(asked, members, dataset, corruptions, severities, label, several=len({key[2] for key in groups}) > 1)
        for members in groups.values()
        for label in labels
    ]
    word = group_word(dataset)
    rows = with_intervals(rows, word)
    reference = next((row for row in rows if row.model == asked.reference and not row.ablation), None)
    if reference is not None:
        rows = against(rows, reference, corruptions, word)
    record = sources[0].record
    cautions = dict.fromkeys(caution(np.bincount(row.groups).astype(float), len(row.seeds), word) for row in rows)
    cautions.pop("", None)
    return Summary(
        dataset,
        record.tests[dataset].title,
        asked.protocol,
        asked.protocols[asked.protocol].hash,
        corruptions,
        severities,
        tuple(rows),
        tuple(find_pairs(rows, word)),
        reference.title if reference is not None else None,
        record.synthetic,
        tuple(f"{text[0].upper()}{text[1:]}" for text in cautions),
    )


def _group(sources: Sequence[Source]) -> dict[tuple[str, tuple[str, ...], str], list[Source]]:
    """Cells of one row: they differ in the seed only."""
    groups: dict[tuple[str, tuple[str, ...], str], list[Source]] = {}
    ordered = sorted(sources, key=lambda s: (model_order(s.record.model), s.record.ablation, s.record.cell))
    for source in ordered:
        record = source.record
        label = f"{recipe_label(record)}, {record.split.name}"
        members = groups.setdefault((record.model, tuple(record.ablation), label), [])
        if any(one.record.seed == record.seed for one in members):
            raise BenchError(
                f"two cells of {record.model} with seed {record.seed}: {members[0].record.cell} and {record.cell}; "
                "choose one with --runs"
            )
        members.append(source)
    return groups


def _row(
    asked: Asked,
    members: Sequence[Source],
    dataset: str,
    corruptions: Sequence[str],
    severities: Sequence[int],
    denoise: str,
    *,
    several: bool,
) -> Row:
    record = members[0].record
    behind = [_read(asked, one, dataset, CLEAN, 0, denoise) for one in members]  # (S) of (n,)
    clean = [_read(asked, one, dataset, CLEAN, 0, "none") for one in members]
    scores = np.array(
        [
            [[_read(asked, one, dataset, name, severity, denoise) for severity in severities] for one in members]
            for name in corruptions
        ]
    )  # (C, S, severities, n)
    by_corruption = scores.mean(axis=2)
    mean = by_corruption.mean(axis=0)
    first = np.asarray(clean)
    ratio = mean.mean() / first.mean() if first.mean() else float("nan")
    linear = ratio + (mean - ratio * first) / first.mean() if first.mean() else np.zeros_like(mean)
    frame = _rows_of(asked, members[0], dataset)
    title = model_title(record.model, record.model_title)
    title += f" w/o {', '.join(record.ablation)}" if record.ablation else ""
    recipe, trained_with = recipe_label(record), tuple(record.recipe.get("noise") or ())
    name = title + (f" [{recipe}]" if several else "")
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


def _read(asked: Asked, source: Source, dataset: str, corruption: str, severity: int, denoise: str) -> Floats:
    """Per-image Dice, (n,), in the order of ids."""
    if corruption == CLEAN and denoise == "none":
        return np.asarray(_rows_of(asked, source, dataset)["dice"], dtype=float)
    path = result_path(source.paths, dataset, corruption, severity, denoise)
    return np.asarray(read_rows(path, asked.protocol)["dice"], dtype=float)


def _rows_of(asked: Asked, source: Source, dataset: str) -> pd.DataFrame:
    """The cell's own rows of a test set, index ``id``."""
    rows = regrouped(io.read_scores(source.paths.scores, ["protocol", "dataset", "id", "group", "dice"]))
    rows = rows[(rows["protocol"] == asked.protocol) & (rows["dataset"] == dataset)].set_index("id").sort_index()
    if rows.empty:
        raise BenchError(
            f"{source.paths.scores}: no rows of {dataset} under {asked.protocol}; choose another --protocol, or run "
            "the cell again"
        )
    return rows
