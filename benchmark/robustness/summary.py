"""Results on corrupted test sets -> one row per model, recipe and denoiser, with intervals and paired differences.

A row's images carry several figures at once: the clean score, each corruption's mean over severities, and the mean over
all of them. Intervals and tests are those of the other tables (report/statistics): rows with the same images and seeds
share one model of variance. Retention (corrupted / clean) is a ratio of two means; its interval is that of its
linearisation. A denoiser, or noise in training, is compared with seeds paired: both sides start from the same values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.data.listing.groups import group_word
from benchmark.errors import BenchError
from benchmark.report.records.grouping import regrouped
from benchmark.report.records.names import model_order, model_title
from benchmark.report.records.select import recipe_label
from benchmark.report.statistics.comparisons import holm, honest
from benchmark.report.statistics.limits import caution
from benchmark.report.statistics.model import differences, fit_scores, means
from benchmark.robustness.cells import Asked, Source
from benchmark.robustness.evaluate import Unit
from benchmark.robustness.front_ends import get_denoiser
from benchmark.robustness.results import CLEAN, read_rows, result_path
from benchmark.store import io

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A mean over images and seeds with the ends of its 95 % interval (NaN where none can be given)."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Change:
    """A paired difference of two means; the ends and p are NaN where the design cannot carry them."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Row:
    """One model, recipe and denoiser on one test set.

    Attributes:
        name: Unique in the table; of plots.
        model: Registry name.
        title: As printed.
        recipe: Label of the recipe.
        trained_with: Noise of its training.
        base: Its recipe without noise, as text.
        noise: Corruptions of the table that it was trained with.
        denoise: Label of the denoiser.
        seeds: Seeds averaged.
        clean: Score without corruption and without denoiser.
        clean_denoised: Score without corruption behind the denoiser.
        by_corruption: Mean over severities.
        by_severity: Mean over corruptions, by severity.
        corrupted: Mean over corruptions and severities.
        retention: ``corrupted`` / ``clean``.
        mce: Mean over corruptions of the error relative to the reference's, 1 for the reference; None without one.
        versus: ``corrupted`` less the reference's, with Holm-corrected p.
        p_holm: Of ``versus``.
        scores: (K, S, n) of single images: clean, clean behind the denoiser, each corruption, their mean, retention.
        groups: (n,) the images' groups, integers from 0.
    """

    name: str
    model: str
    title: str
    ablation: tuple[str, ...]
    recipe: str
    trained_with: tuple[str, ...]
    base: str
    noise: tuple[str, ...]
    denoise: str
    seeds: tuple[int, ...]
    n: int
    clean: Figure
    clean_denoised: Figure
    by_corruption: dict[str, Figure]
    by_severity: dict[int, float]
    corrupted: Figure
    retention: Figure
    scores: Floats
    groups: NDArray[np.int64]
    cells: tuple[str, ...]
    ids: tuple[str, ...]
    mce: float | None = None
    versus: Change | None = None
    p_holm: float = float("nan")


@dataclass(frozen=True)
class Pair:
    """What one change does to a model: a denoiser in front of it, or noise in its training."""

    title: str
    change: str
    clean: Change
    corrupted: Change
    p_holm: float = float("nan")


@dataclass(frozen=True)
class Summary:
    """One test set."""

    dataset: str
    title: str
    protocol: str
    protocol_hash: str
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    reference: str | None
    synthetic: bool
    notes: tuple[str, ...] = field(default=())


def summarise(asked: Asked, sources: Sequence[Source], units: Sequence[Unit]) -> list[Summary]:
    """Sum up what was measured, test set by test set.

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
    rows = _with_intervals(rows, group_word(dataset))
    reference = next((row for row in rows if row.model == asked.reference and not row.ablation), None)
    if reference is not None:
        rows = _against(rows, reference, corruptions, group_word(dataset))
    record = sources[0].record
    word = group_word(dataset)
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
        tuple(_pairs(rows, word)),
        reference.title if reference is not None else None,
        record.synthetic,
        tuple(f"{text[0].upper()}{text[1:]}" for text in cautions),
    )


def _group(sources: Sequence[Source]) -> dict[tuple[str, tuple[str, ...], str], list[Source]]:
    """Cells of one row: they differ in the seed alone."""
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


def _families(rows: Sequence[Row]) -> list[list[int]]:
    """Positions of the rows that have the same images and the same seeds."""
    found: dict[tuple[object, ...], list[int]] = {}
    for position, row in enumerate(rows):
        found.setdefault((row.ids, row.seeds), []).append(position)
    return list(found.values())


def _with_intervals(rows: Sequence[Row], word: str) -> list[Row]:
    done = list(rows)
    for members in _families(rows):
        fit = fit_scores(np.stack([rows[k].scores for k in members], axis=1), rows[members[0]].groups)
        found = honest(means(fit), fit, word)
        for m, k in enumerate(members):
            ends = zip(found.value[:, m], found.low[:, m], found.high[:, m], strict=True)
            figures = [Figure(float(value), float(low), float(high)) for value, low, high in ends]
            done[k] = replace(
                rows[k],
                clean=figures[0],
                clean_denoised=figures[1],
                by_corruption=dict(zip(rows[k].by_corruption, figures[2:-2], strict=True)),
                corrupted=figures[-2],
                retention=figures[-1],
            )
    return done


def _against(rows: Sequence[Row], reference: Row, corruptions: Sequence[str], word: str) -> list[Row]:
    """Add mCE and the paired difference of the mean corrupted score; Holm's correction runs over the rows."""
    errors = {name: 1 - reference.by_corruption[name].value for name in corruptions}
    changes: dict[int, Change] = {}
    place = next(k for k, row in enumerate(rows) if row is reference)
    members = next(family for family in _families(rows) if place in family)
    fit = fit_scores(np.stack([rows[k].scores for k in members], axis=1), reference.groups)
    ref = members.index(place)
    found = honest(differences(fit, ref), fit, word, against=ref)
    for m, k in enumerate(members):
        if m != ref:
            parts = (found.value, found.low, found.high, found.p)
            changes[k] = Change(*(float(part[-2, m]) for part in parts))
    corrected = dict(zip(changes, holm([change.p for change in changes.values()]), strict=True))
    done = []
    for k, row in enumerate(rows):
        ratios = [(1 - row.by_corruption[name].value) / errors[name] for name in corruptions if errors[name] > 0]
        mce = float(np.mean(ratios)) if len(ratios) == len(corruptions) else None
        done.append(replace(row, mce=mce, versus=changes.get(k), p_holm=float(corrected.get(k, np.nan))))
    return done


def _pairs(rows: Sequence[Row], word: str) -> list[Pair]:
    """Every row that differs from another in its denoiser alone, or in noise in its training alone."""
    found: list[Pair] = []
    for row in rows:
        for other in rows:
            alike = (row.model, row.ablation, row.ids, row.seeds) == (
                other.model,
                other.ablation,
                other.ids,
                other.seeds,
            )
            if not alike or row is other:
                continue
            if (
                (row.base, row.trained_with) == (other.base, other.trained_with)
                and other.denoise == "none"
                and row.denoise != "none"
            ):
                found.append(_pair(row, other, f"denoised by {row.denoise}", word))
            trained = row.trained_with and not other.trained_with
            if trained and row.denoise == other.denoise and row.base == other.base:
                found.append(_pair(row, other, "trained with noise", word))
    corrected = holm([pair.corrupted.p for pair in found])
    return [replace(pair, p_holm=float(p)) for pair, p in zip(found, corrected, strict=True)]


def _pair(row: Row, other: Row, change: str, word: str) -> Pair:
    fit = fit_scores(np.stack([other.scores, row.scores], axis=1), row.groups, paired=True)
    found = honest(differences(fit, 0), fit, word, against=0)
    clean, corrupted = (
        Change(*(float(part[k, 1]) for part in (found.value, found.low, found.high, found.p))) for k in (1, -2)
    )
    return Pair(other.title, change, clean, corrupted)


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
