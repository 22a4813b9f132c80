"""From a folder of exports to rows of a leaderboard, and to what was refused and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmark.errors import BenchError
from benchmark.metrics import PROTOCOLS
from benchmark.report.board.checks import SetRows, read_rows
from benchmark.report.records.identity import row_keys
from benchmark.report.records.names import MODEL_TITLES
from benchmark.report.statistics.fit import fit_scores
from benchmark.report.statistics.limits import not_estimable
from benchmark.report.statistics.model import means
from benchmark.store import io
from benchmark.store.schema import Record


@dataclass(frozen=True)
class Refusal:
    """A cell that is not shown, and why."""

    submission: str
    cell: str
    reason: str


@dataclass(frozen=True)
class Line:
    """One row of the board: a model's seeds on one test set under one protocol.

    Attributes:
        submission: Folder of the export.
        model: As tables print it, with its setting.
        dataset, protocol, protocol_hash, split, weights, recipe: What a reader filters by.
        seeds: Number of trainings.
        n: Images. num_leaked: Of them seen in training, exactly, nearly or by sequence.
        values: Measure -> mean over images and seeds.
        low, high: 95 % interval of mDSC; None where the design gives none.
        clean: Measure -> the same over images that are not leaked; None where none is left.
        cells: Cells that the row is made of.
        synthetic: Whether procedural images trained or tested.
        not_from_maps: "" where the scores of all its cells follow from their maps, else why only their means were
            computed again.
    """

    submission: str
    model: str
    dataset: str
    title: str
    protocol: str
    protocol_hash: str
    split: str
    weights: str
    recipe: str
    seeds: int
    n: int
    num_leaked: int
    values: dict[str, float]
    low: float | None
    high: float | None
    clean: dict[str, float] | None
    cells: list[str]
    synthetic: bool
    not_from_maps: str


@dataclass
class Board:
    """What is shown and what is not."""

    lines: list[Line] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    submissions: list[str] = field(default_factory=list)

    def sources(self) -> list[Source]:
        """By submission: how many rows were scored again from maps, and why the others were not."""
        found = []
        for name in self.submissions:
            mine = [line.not_from_maps for line in self.lines if line.submission == name]
            why = sorted({reason for reason in mine if reason})
            found.append(Source(name, len(mine) - sum(map(bool, mine)), sum(map(bool, mine)), tuple(why)))
        return found


@dataclass(frozen=True)
class Source:
    """What the rows of a submission were computed from."""

    submission: str
    from_maps: int
    from_scores: int
    why: tuple[str, ...]


class Check(Protocol):
    """Compares the scores of a cell with its maps; says by test set why it could not."""

    def __call__(self, root: Path, record: Record, rows: Mapping[tuple[str, str], SetRows], /) -> dict[str, str]: ...


@dataclass(frozen=True)
class _Sound:
    """A record whose figures hold."""

    submission: str
    record: Record
    rows: dict[tuple[str, str], SetRows]
    not_from_maps: dict[str, str]


def collect(folder: Path, check: Check | None = None) -> Board:
    """Read every export below a folder, recompute its figures, and put what holds side by side.

    Args:
        folder: Holds one folder per submission, each made by ``bench export`` (or a results folder).
        check: Scores the maps of exports again; None to believe the scores of single images.
    Raises:
        BenchError: No export is there.
    """
    roots = sorted(path for path in folder.iterdir() if (path / "runs").is_dir()) if folder.is_dir() else []
    if not roots:
        raise BenchError(f"{folder}: holds no exports; expected one folder per submission, made by 'bench export'")
    board = Board(submissions=[root.name for root in roots])
    sound = [one for root in roots for one in _submission(root, board, check)]
    sound = _same_protocols(sound, board)
    sound = _same_images(sound, board)
    groups: dict[tuple[Any, ...], list[_Sound]] = {}
    for root in roots:
        mine = [one for one in sound if one.submission == root.name]
        keys = row_keys([one.record for one in mine], by_recipe=True)
        for one in mine:
            record = one.record
            for (dataset, protocol), rows in one.rows.items():
                made = (record.recipe_hash, record.split.name, record.split.seed, tuple(sorted(rows.ids)))
                groups.setdefault((root.name, keys[record.cell], dataset, protocol, made), []).append(one)
    board.lines = [_line(key, members) for key, members in groups.items()]
    board.lines.sort(key=lambda line: (line.dataset, line.protocol, -line.values["mDSC"], line.submission))
    return board


def _submission(root: Path, board: Board, check: Check | None) -> list[_Sound]:
    found = []
    try:
        records = io.read_records(root)
    except BenchError as error:
        board.refused.append(Refusal(root.name, "", str(error).replace(f"{root}/", "")))
        return []
    for record in records:
        try:
            if record.status == "ok":
                rows = read_rows(root, record)
                unlike = dict.fromkeys(record.tests, "maps were not looked at")
                found.append(_Sound(root.name, record, rows, check(root, record, rows) if check else unlike))
            else:
                board.refused.append(Refusal(root.name, record.cell, f"its status is {record.status}"))
        except BenchError as error:
            board.refused.append(Refusal(root.name, record.cell, str(error).replace(f"{root}/", "")))
    return found


def _same_protocols(sound: Sequence[_Sound], board: Board) -> list[_Sound]:
    """Keep records whose protocols are, by hash, this package's of that name; other names' are those of the most."""
    usual = _most(sound, lambda record: record.protocols)
    usual |= {name: protocol.hash for name, protocol in PROTOCOLS.items()}

    def fault(record: Record) -> str:
        for name, digest in record.protocols.items():
            if digest != usual[name]:
                return f"protocol {name} is {digest} here, {usual[name]} is expected: scores do not mix"
        return ""

    return _without(sound, fault, board)


def _same_images(sound: Sequence[_Sound], board: Board) -> list[_Sound]:
    """Keep records scored on the images of the most submissions with the same split, set by set."""

    def images(record: Record) -> dict[tuple[str, str, int], str]:
        return {_drawn(record, name): test.fingerprint for name, test in record.tests.items()}

    usual = _most(sound, images)

    def fault(record: Record) -> str:
        for (name, split, seed), fingerprint in images(record).items():
            if fingerprint != usual[name, split, seed]:
                who = f"{name}: its {record.tests[name].n} images are not those of the other submissions"
                return f"{who} with split {split} (seed {seed})"
        return ""

    return _without(sound, fault, board)


def _most(sound: Sequence[_Sound], facts: Callable[[Record], Mapping[Any, str]]) -> dict[Any, str]:
    """Return for each key the value of the most submissions; of equally many the first in alphabetical order."""
    said = {(one.submission, *fact) for one in sound for fact in facts(one.record).items()}
    counts: dict[Any, Counter[str]] = {}
    for _, key, value in said:
        counts.setdefault(key, Counter())[value] += 1
    return {key: min(count, key=lambda value: (-count[value], value)) for key, count in counts.items()}


def _without(sound: Sequence[_Sound], fault: Callable[[Record], str], board: Board) -> list[_Sound]:
    """Return the records without a fault; the others are refused with it."""
    kept = []
    for one in sound:
        if reason := fault(one.record):
            board.refused.append(Refusal(one.submission, one.record.cell, reason))
        else:
            kept.append(one)
    return kept


def _drawn(record: Record, dataset: str) -> tuple[str, str, int]:
    """A test set as one split draws it."""
    return dataset, record.split.name, record.split.seed


def _line(key: tuple[Any, ...], members: Sequence[_Sound]) -> Line:
    submission, row, dataset, protocol, _ = key
    record = members[0].record
    test, rows = record.tests[dataset], [one.rows[dataset, protocol] for one in members]
    order = [np.argsort(np.array(one.ids, dtype=object)) for one in rows]
    first, place = rows[0], order[0]
    values = {
        name: np.stack([one.values[name][at] for one, at in zip(rows, order, strict=True)]) for name in first.values
    }
    leaked = first.leaked[place]
    low, high = _interval(values["mDSC"], [first.groups[i] for i in place])
    title = row.title or MODEL_TITLES.get(record.model, record.model_title)
    dropped = f" without {', '.join(record.ablation)}" if record.ablation else ""
    return Line(
        submission=submission,
        model=f"{title}{dropped}{f' ({row.setting})' if row.setting else ''}",
        dataset=dataset,
        title=test.title,
        protocol=protocol,
        protocol_hash=record.protocols[protocol],
        split=record.split.name,
        weights=_weights(record),
        recipe=record.recipe_name,
        seeds=len(members),
        n=len(leaked),
        num_leaked=int(leaked.sum()),
        values={name: round(float(one.mean()), 6) for name, one in values.items()},
        low=low,
        high=high,
        clean=_clean(values, leaked),
        cells=[one.record.cell for one in members],
        synthetic=record.synthetic,
        not_from_maps=next((why for one in members if (why := one.not_from_maps[dataset])), ""),
    )


def _weights(record: Record) -> str:
    used = record.pretrained.get("used", bool(record.pretrained.get("name")))
    return "foreign maps" if record.origin else "pretrained" if used else "random"


def _clean(values: dict[str, Any], leaked: Any) -> dict[str, float] | None:
    """Means without leaked images; E_phi_max is left out, as its threshold was chosen on all images."""
    if leaked.all():
        return None
    kept = {name: one for name, one in values.items() if name != "E_phi_max" or not leaked.any()}
    return {name: round(float(one[:, ~leaked].mean()), 6) for name, one in kept.items()}


def _interval(scores: Any, groups: Sequence[str]) -> tuple[float | None, float | None]:
    codes = np.unique(np.array(groups, dtype=object), return_inverse=True)[1].astype(np.int64)
    fit = fit_scores(scores[None], codes)
    if not_estimable(fit.sizes):
        return None, None
    found = means(fit)
    low, high = float(found.low[0]), float(found.high[0])
    return (None, None) if np.isnan(low) or np.isnan(high) else (round(low, 4), round(high, 4))
