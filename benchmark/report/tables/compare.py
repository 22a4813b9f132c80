"""Two sets of records compared: changes of the configuration, of the numbers, and of single images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.data.listing.groups import group_word
from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURE_KEYS
from benchmark.report.records.blocks import Floats
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.names import dataset_order, model_order
from benchmark.report.records.select import newest
from benchmark.report.records.set_scores import ScoreReader
from benchmark.report.statistics.comparisons import holm, honest
from benchmark.report.statistics.fit import fit_measures
from benchmark.report.statistics.limits import caution
from benchmark.report.statistics.model import means
from benchmark.report.tables.rows import row_title
from benchmark.store.schema import Record

Key = tuple[str, tuple[str, ...], bool, int]  # model, parts left out, external maps, seed
_CONFIG = (
    "model_options",
    "recipe_name",
    "recipe",
    "split",
    "engine",
    "pretrained",
    "num_params",
    "protocols",
    "environment",
)
_SIDES = ("a", "b")


@dataclass(frozen=True)
class Side:
    """One of the two: its name, its records and a reader of their per-image scores."""

    name: str
    records: Sequence[Record]
    read: ScoreReader


@dataclass(frozen=True)
class Compared:
    """The changes from A to B.

    Attributes:
        config: One entry per changed field and pair of values: ``field``, ``a``, ``b``, ``cells``.
        numbers: One entry per test set, model and measure: ``a``, ``b``, ``difference`` (B less A), ``low``, ``high``,
            ``p_holm`` (of mDSC, where it is tested), ``n`` (images in common), ``seeds``, ``note``.
        images: Images with the largest change in Dice: ``dataset``, ``model``, ``id``, ``a``, ``b``, ``difference``.
        only_a, only_b: Cells without a partner.
    """

    config: tuple[dict[str, Any], ...]
    numbers: tuple[dict[str, Any], ...]
    images: tuple[dict[str, Any], ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain lists."""
        return {name: list(getattr(self, name)) for name in ("config", "numbers", "images", "only_a", "only_b")}


def compare_results(a: Side, b: Side, *, protocol: str = "pranet", top: int = 10) -> Compared:
    """Pair the finished cells of two sides by model, parts left out and seed, and compare them.

    Args:
        a: Before. b: After.
        protocol: Whose scores.
        top: Images to list per model and test set.
    Raises:
        BenchError: A side has no finished cell or several of one model and seed, or none in common.
    """
    cells_a, cells_b = _cells(a), _cells(b)
    common = [key for key in cells_a if key in cells_b]
    if not common:
        raise BenchError(f"{a.name} and {b.name} have no model with the same seed in common; nothing to compare")
    sides = ((a, cells_a), (b, cells_b))
    wanted = list(_pairs(common, cells_a, cells_b))
    by_model = sorted(range(len(wanted)), key=lambda k: wanted[k][1])  # each cell's rows are read once
    made = {k: _pair(sides, *wanted[k]) for k in by_model}
    pairs = [made[k] for k in range(len(wanted))]
    numbers, images = _numbers(pairs), [line for pair in pairs for line in _moved(pair, top)]
    return Compared(
        config=tuple(_changes([(cells_a[key], cells_b[key]) for key in common])),
        numbers=tuple(numbers),
        images=tuple(images),
        only_a=tuple(r.cell for key, r in cells_a.items() if key not in cells_b),
        only_b=tuple(r.cell for key, r in cells_b.items() if key not in cells_a),
    )


def _cells(side: Side) -> dict[Key, Record]:
    kept, _ = newest([r for r in side.records if r.status == "ok"])
    if not kept:
        raise BenchError(f"{side.name}: no finished cell; name a results folder, or one of its commits")
    cells: dict[Key, Record] = {}
    for record in sorted(kept, key=lambda r: (model_order(r.model), r.cell)):
        key = (record.model, tuple(record.ablation), is_foreign(record), record.seed)
        if key in cells:
            raise BenchError(
                f"{side.name}: {cells[key].cell} and {record.cell} are of one model and seed; choose with "
                "--recipe, --split or FOLDER@COMMIT"
            )
        cells[key] = record
    return cells


def _pairs(
    common: Sequence[Key], cells_a: Mapping[Key, Record], cells_b: Mapping[Key, Record]
) -> Iterator[tuple[str, tuple[str, tuple[str, ...], bool], list[int]]]:
    """Yield test set, model and the seeds that both sides scored there."""
    sets: dict[str, dict[tuple[str, tuple[str, ...], bool], list[int]]] = {}
    for key in common:
        for dataset in cells_a[key].tests:
            if dataset in cells_b[key].tests:
                sets.setdefault(dataset, {}).setdefault(key[:3], []).append(key[3])
    for dataset in sorted(sets, key=dataset_order):
        for model, seeds in sets[dataset].items():
            yield dataset, model, sorted(seeds)


@dataclass(frozen=True)
class _Pair:
    """One model on one test set, on both sides."""

    base: dict[str, Any]
    foreign: bool
    scores: tuple[Floats, Floats]  # (measures, seeds, n) of A and of B
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    note: str

    @property
    def family(self) -> tuple[object, ...]:
        """What pairs must share so that one model of variance holds for all of them."""
        return self.base["dataset"], self.ids, self.groups, self.scores[0].shape[1]


def _pair(
    sides: Sequence[tuple[Side, Mapping[Key, Record]]],
    dataset: str,
    model: tuple[str, tuple[str, ...], bool],
    seeds: Sequence[int],
) -> _Pair:
    frames = [[side.read(cells[(*model, seed)].cell, dataset) for seed in seeds] for side, cells in sides]
    every = list(dict.fromkeys(frame.ids for side in frames for frame in side))
    ids = sorted(set(every[0]).intersection(*every[1:]))
    title = row_title(model[0], model[1], None) + ("†" if model[2] else "")
    base = {"dataset": dataset, "model": title, "n": len(ids), "seeds": " ".join(map(str, seeds))}
    place = {one: _places(one, ids) for one in every}
    a, b = (np.stack([frame.scores[:, place[frame.ids]] for frame in side], axis=1) for side in frames)
    first = frames[0][0]
    groups = tuple(first.groups[k] for k in place[first.ids])
    note = "" if {len(one) for one in every} == {len(ids)} else "only the images in common are compared"
    return _Pair(base, model[2], (a, b), tuple(ids), groups, note)


def _places(ids: Sequence[str], wanted: Sequence[str]) -> list[int]:
    place = {name: k for k, name in enumerate(ids)}
    return [place[name] for name in wanted]


def _numbers(pairs: Sequence[_Pair]) -> list[dict[str, Any]]:
    """Weigh B less A, seeds paired; the spread over seeds is pooled over the models of a test set."""
    families: dict[tuple[object, ...], list[int]] = {}
    for k, pair in enumerate(pairs):
        families.setdefault(pair.family, []).append(k)
    rows = {(k, m): _blank(pair, key) for k, pair in enumerate(pairs) for m, key in enumerate(MEASURE_KEYS)}
    for members in families.values():
        if pairs[members[0]].ids:
            rows |= _weighed(pairs, members)
    corrected = holm([row.pop("p") for row in rows.values()])
    for row, p in zip(rows.values(), corrected, strict=True):
        row["p_holm"] = float(p) if p == p else None
    return list(rows.values())


def _blank(pair: _Pair, key: str) -> dict[str, Any]:
    note = "an image has no number" if pair.ids else "no image in common"
    return {
        **pair.base,
        "measure": key,
        **dict.fromkeys(("a", "b", "difference", "low", "high")),
        "p": np.nan,
        "note": note,
    }


def _weighed(pairs: Sequence[_Pair], members: Sequence[int]) -> dict[tuple[int, int], dict[str, Any]]:
    first = pairs[members[0]]
    codes = np.unique(np.asarray(first.groups), return_inverse=True)[1].astype(np.int64)
    change = np.stack([pairs[k].scores[1] - pairs[k].scores[0] for k in members], axis=1)
    trained = np.array([not pairs[k].foreign for k in members])
    word = group_word(str(first.base["dataset"]))
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for measures, models, fit in fit_measures(change, codes, trained=trained):
        found = honest(means(fit, of_differences=True), fit, word)
        for i, m in enumerate(measures):
            for j, place in enumerate(models):
                pair = pairs[members[place]]
                seeds = 0 if pair.foreign else fit.num_seeds
                notes = (caution(fit.sizes, seeds, word), pair.note)
                ends = {key: float(value[i, j]) for key, value in (("low", found.low), ("high", found.high))}
                rows[(members[place], m)] = {
                    **pair.base,
                    "measure": MEASURE_KEYS[m],
                    **{side: float(scores[m].mean()) for side, scores in zip(_SIDES, pair.scores, strict=True)},
                    "difference": float(found.value[i, j]),
                    **{key: value if value == value else None for key, value in ends.items()},
                    "p": float(found.p[i, j]) if m == 0 else np.nan,
                    "note": "; ".join(note for note in notes if note),
                }
    return rows


def _moved(pair: _Pair, top: int) -> list[dict[str, Any]]:
    """Return the images with the largest changes in Dice."""
    a, b = (scores[MEASURE_KEYS.index("mDSC")].mean(axis=0) for scores in pair.scores)
    order = sorted(np.flatnonzero(np.abs(b - a) > 0), key=lambda i: (-abs(b[i] - a[i]), pair.ids[i]))[:top]
    return [
        {
            "dataset": pair.base["dataset"],
            "model": pair.base["model"],
            "id": pair.ids[i],
            "a": float(a[i]),
            "b": float(b[i]),
            "difference": float(b[i] - a[i]),
        }
        for i in order
    ]


def _changes(pairs: Sequence[tuple[Record, Record]]) -> Iterator[dict[str, Any]]:
    """Yield each changed field once per pair of values, with the cells that it concerns."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for a, b in pairs:
        sides = [{key: value[key] for key in _CONFIG} for value in (a.to_json(), b.to_json())]
        if len({json.dumps(side, default=str) for side in sides}) == 1:
            continue
        flat_a, flat_b = (dict(_flat(side)) for side in sides)
        for name in dict.fromkeys([*flat_a, *flat_b]):
            va, vb = (json.dumps(flat.get(name), default=str) for flat in (flat_a, flat_b))
            if va != vb:
                found.setdefault((name, va, vb), []).append(f"{a.model} seed {a.seed}")
    for (name, va, vb), cells in found.items():
        yield {"field": name, "a": va, "b": vb, "cells": "all" if len(cells) == len(pairs) else ", ".join(cells)}


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
