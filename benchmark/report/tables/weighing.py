"""Compute the uncertainty of a table: intervals, comparisons with reference rows, Holm's correction over a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmark.data.listing.groups import group_word, known_groups
from benchmark.errors import BenchError
from benchmark.metrics.measures import MEASURE_KEYS
from benchmark.report.records.blocks import Block, Floats
from benchmark.report.records.set_scores import ScoreReader
from benchmark.report.statistics.comparisons import holm, honest, wilcoxon
from benchmark.report.statistics.fit import Fit, fit_measures
from benchmark.report.statistics.limits import MIN_SEEDS, caution, not_estimable, not_tested
from benchmark.report.statistics.model import Estimates, differences, means
from benchmark.report.statistics.variance import variance_split
from benchmark.report.tables.rows import Row
from benchmark.report.tables.uncertainty import Design, Key, Tested, Uncertainty


def weigh(
    dataset: str,
    rows: Sequence[Row],
    read: ScoreReader,
    *,
    intervals: bool,
    reference_of: Callable[[int], int | None] | None = None,
    primary: str = MEASURE_KEYS[0],
    ablation: bool = False,
    signed_rank: bool = False,
) -> Uncertainty:
    """Compute intervals and comparisons of a table; p-values are not yet corrected (``correct``).

    Args:
        dataset: Test set.
        rows: Its rows; blank ones are left alone.
        read: Where per-image scores come from.
        intervals: Whether to give intervals.
        reference_of: Row -> the row that it is compared with (None: with none); no comparisons if None.
        primary: The measure that is tested.
        ablation: Rows of one model share initial values by seed, so their seeds are paired.
        signed_rank: Also Wilcoxon's test.
    Raises:
        BenchError: Per-image scores are missing or unreadable.
    """
    scored = {i: _read_row(dataset, row, read) for i, row in enumerate(rows) if row.n is not None}
    cohorts = _cohorts(rows, scored, ablation)
    made = [_weigh_cohort(_Cohort(dataset, rows, scored, members, ablation, primary), reference_of, signed_rank)
            for members in cohorts]  # fmt: skip
    notes = [note for one in made for note in one.notes]
    if reference_of:
        notes += _not_compared(rows, scored, cohorts, reference_of)
    known = known_groups(dataset)
    notes += [f"Groups of images: {known}"] if known and (intervals or reference_of) and scored else []
    return Uncertainty(
        intervals={k: v for one in made for k, v in one.intervals.items()} if intervals else {},
        blank={k: v for one in made for k, v in one.blank.items()},
        tested={k: v for one in made for k, v in one.tested.items()},
        untested=next((one.untested for one in made if one.untested and one.tested), ""),
        shares={k: v for one in made for k, v in one.shares.items()} if intervals else {},
        designs=tuple(design for one in made for design in one.designs),
        notes=tuple(dict.fromkeys(notes)),
    )


def correct(found: Sequence[Uncertainty]) -> list[Uncertainty]:
    """Apply Holm's correction over everything that a command tests."""
    keys = [(t, key) for t, one in enumerate(found) for key, tested in one.tested.items() if np.isfinite(tested.p)]
    adjusted = dict(zip(keys, holm([found[t].tested[key].p for t, key in keys]), strict=True))
    family = len(keys), len({t for t, _ in keys})
    return [
        replace(
            one,
            tested={k: replace(v, p_holm=float(adjusted.get((t, k), np.nan))) for k, v in one.tested.items()},
            family=family,
        )
        for t, one in enumerate(found)
    ]


@dataclass(frozen=True)
class _RowScores:
    """A row's scores (measures, seeds, n) and the images that they are of."""

    scores: Floats
    ids: tuple[str, ...]
    groups: tuple[str, ...]


def _read_row(dataset: str, row: Row, read: ScoreReader) -> _RowScores:
    frames = [read(cell, dataset) for cell in row.cells]
    first = frames[0]
    for cell, frame in zip(row.cells, frames, strict=True):
        if len(frame.ids) != row.n or frame.ids != first.ids:
            raise BenchError(
                f"{dataset}: the score rows of {cell} hold {len(frame.ids)} images, its record or its other seeds "
                f"{row.n}; run the cell again with --if-exists overwrite"
            )
    return _RowScores(np.stack([frame.scores for frame in frames], axis=1), first.ids, first.groups)


def _cohorts(rows: Sequence[Row], scored: Mapping[int, _RowScores], ablation: bool) -> list[list[int]]:
    """Rows over the same images, in an ablation of the same model: their seeds' variance is one family."""
    found: dict[tuple[object, ...], list[int]] = {}
    for i, one in scored.items():
        found.setdefault((one.ids, one.groups, rows[i].model if ablation else ""), []).append(i)
    return list(found.values())


@dataclass(frozen=True)
class _Cohort:
    """Rows that were scored on the same images."""

    dataset: str
    rows: Sequence[Row]
    scored: Mapping[int, _RowScores]
    members: Sequence[int]
    paired: bool
    primary: str

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Number of each image's group."""
        groups = np.asarray(self.scored[self.members[0]].groups)
        return np.unique(groups, return_inverse=True)[1].astype(np.int64)

    @property
    def num_seeds(self) -> int:
        """Seeds of rows trained here; 0 if all maps are external."""
        return max((len(self.rows[i].seeds) for i in self.members if not self.rows[i].foreign), default=0)

    def stack(self) -> Floats:
        """Scores (measures, rows, seeds, n); fixed maps stand for every seed."""
        seeds = max(self.num_seeds, 1)
        every = []
        for i in self.members:
            scores = self.scored[i].scores
            fixed = self.rows[i].foreign
            every.append(np.repeat(scores.mean(axis=1, keepdims=True), seeds, axis=1) if fixed else scores)
        return np.stack(every, axis=1)


def _fits(cohort: _Cohort, scores: Floats) -> Iterator[tuple[list[int], list[str], Fit]]:
    """Yield rows, measures and their fit."""
    trained = np.array([not cohort.rows[i].foreign for i in cohort.members])
    for measures, models, fit in fit_measures(scores, cohort.codes, trained=trained, paired=cohort.paired):
        yield [cohort.members[k] for k in models], [MEASURE_KEYS[m] for m in measures], fit


def _weigh_cohort(cohort: _Cohort, reference_of: Callable[[int], int | None] | None, signed_rank: bool) -> Uncertainty:
    scores = cohort.stack()
    word = group_word(cohort.dataset)
    sizes = np.bincount(cohort.codes).astype(float)
    reason = not_estimable(sizes, word)
    intervals: dict[Key, tuple[float, float]] = {}
    tested: dict[Key, Tested] = {}
    designs: list[Design] = []
    for members, keys, fit in _fits(cohort, scores):
        found = honest(means(fit), fit, word)
        for m, key in enumerate(keys):
            pairs = zip(members, found.low[m], found.high[m], strict=True)
            intervals |= {(i, key): (float(a), float(b)) for i, a, b in pairs if np.isfinite(a)}
        if reference_of:
            fresh, more = _compare(cohort, reference_of, members, keys, fit, word)
            tested |= fresh
            designs += more
    if signed_rank:
        tested = _with_wilcoxon(cohort, scores, tested, reference_of)
    return Uncertainty(
        intervals=intervals,
        blank=dict.fromkeys(cohort.members, reason) if reason else {},
        tested=tested,
        untested=reason or (not_tested(cohort.num_seeds) if 0 < cohort.num_seeds < MIN_SEEDS else ""),
        shares=_shares(cohort, scores),
        designs=tuple(designs),
        notes=tuple(_cohort_notes(cohort, scores, sizes, word)),
    )


def _compare(
    cohort: _Cohort,
    reference_of: Callable[[int], int | None],
    members: Sequence[int],
    keys: Sequence[str],
    fit: Fit,
    word: str,
) -> tuple[dict[Key, Tested], list[Design]]:
    """Compare rows with their references, each reference once."""
    place = {i: k for k, i in enumerate(members)}
    wanted: dict[int, list[int]] = {}
    for i in members:
        reference = reference_of(i)
        if reference is not None and reference != i and reference in place:
            wanted.setdefault(reference, []).append(i)
    tested: dict[Key, Tested] = {}
    designs = []
    for reference, rows in wanted.items():
        raw = differences(fit, place[reference])
        found = honest(raw, fit, word, against=place[reference])
        title = cohort.rows[reference].title
        for i in rows:
            for m, key in enumerate(keys):
                at = m, place[i]
                tested[(i, key)] = Tested(
                    title,
                    difference=float(found.value[at]),
                    low=float(found.low[at]),
                    high=float(found.high[at]),
                    error=float(found.error[at]),
                    df=float(found.df[at]),
                    p=float(found.p[at]) if key == cohort.primary else float("nan"),
                )
                if key == cohort.primary:
                    one = Estimates(*(np.asarray(getattr(raw, name))[m] for name in raw.__dataclass_fields__))
                    designs.append(Design(i, place[i], place[reference], fit, one))
    return tested, designs


def _with_wilcoxon(
    cohort: _Cohort, scores: Floats, tested: Mapping[Key, Tested], reference_of: Callable[[int], int | None] | None
) -> dict[Key, Tested]:
    m = MEASURE_KEYS.index(cohort.primary)
    by_image = scores[m].mean(axis=1)
    place = {i: k for k, i in enumerate(cohort.members)}
    found = dict(tested)
    for (i, key), one in tested.items():
        reference = reference_of(i) if reference_of else None
        if key == cohort.primary and reference is not None and not np.isnan(one.difference):
            p = wilcoxon(by_image[place[i]] - by_image[place[reference]], cohort.codes)
            found[(i, key)] = replace(one, wilcoxon=p)
    return found


def _shares(cohort: _Cohort, scores: Floats) -> dict[int, tuple[float, float, float]]:
    """How much of the variance of single scores is image, seed and rest, for rows with several seeds."""
    m = MEASURE_KEYS.index(cohort.primary)
    names = tuple(map(str, cohort.members))
    block = Block(cohort.dataset, names, tuple(range(scores.shape[2])), scores[m], cohort.codes, cohort.scored[cohort.members[0]].ids)  # fmt: skip  # noqa: E501
    split = variance_split([block])
    columns = [split[f"share_{part}"] for part in ("image", "seed", "residual")]
    lines = zip(cohort.members, *columns, strict=True)
    return {i: (float(a), float(b), float(c)) for i, a, b, c in lines if np.isfinite(a) and not cohort.rows[i].foreign}


def _cohort_notes(cohort: _Cohort, scores: Floats, sizes: Floats, word: str) -> Iterator[str]:
    sound = np.asarray(np.isfinite(scores).all(axis=(2, 3)))
    for k, i in enumerate(cohort.members):
        lacking = [key for m, key in enumerate(MEASURE_KEYS) if not sound[m, k]]
        if lacking:
            yield f"{cohort.rows[i].title}: no interval for {', '.join(lacking)}: an image has no number"
    text = caution(sizes, cohort.num_seeds, word)
    if text:
        yield f"{text[0].upper()}{text[1:]}"


def _not_compared(
    rows: Sequence[Row],
    scored: Mapping[int, _RowScores],
    cohorts: Sequence[Sequence[int]],
    reference_of: Callable[[int], int | None],
) -> Iterator[str]:
    cohort_of = {i: k for k, members in enumerate(cohorts) for i in members}
    for i in scored:
        reference = reference_of(i)
        if reference is None or reference == i:
            continue
        title = rows[reference].title
        if reference not in scored:
            yield f"{rows[i].title}: not compared, {title} has no numbers here"
        elif cohort_of[i] != cohort_of[reference]:
            yield f"{rows[i].title}: not compared with {title}, which was scored on other images"
