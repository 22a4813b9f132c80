"""Intervals of a study's figures and paired differences, by the tables' model of variance (report/statistics).

Rows with the same images and seeds share one model. A denoiser, or noise in training, is compared with seeds paired:
both sides start from the same values. Retention (corrupted / clean) is a ratio; its interval is that of its
linearisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmark.report.statistics.comparisons import holm, honest
from benchmark.report.statistics.fit import fit_scores
from benchmark.report.statistics.model import differences, means
from benchmark.robustness.rows import Change, Figure, Pair, Row


def _families(rows: Sequence[Row]) -> list[list[int]]:
    """Positions of the rows that have the same images and the same seeds."""
    found: dict[tuple[object, ...], list[int]] = {}
    for position, row in enumerate(rows):
        found.setdefault((row.ids, row.seeds), []).append(position)
    return list(found.values())


def with_intervals(rows: Sequence[Row], word: str) -> list[Row]:
    """Return the rows with 95 % intervals; ``word`` says in the plural what the groups of images are."""
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


def against(rows: Sequence[Row], reference: Row, corruptions: Sequence[str], word: str) -> list[Row]:
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


def find_pairs(rows: Sequence[Row], word: str) -> list[Pair]:
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
