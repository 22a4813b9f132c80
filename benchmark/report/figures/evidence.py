"""Data of figures and pages: the comparable cells, and the files beside their records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from benchmark.errors import BenchError
from benchmark.metrics.measures import COLUMNS, MEASURES, Measure
from benchmark.report.records import select
from benchmark.report.records.blocks import Block, SetScores, stack_block
from benchmark.report.records.grouping import regrouped
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.names import MODEL_TITLES, OURS, seed_words
from benchmark.report.records.set_scores import lenient_reader
from benchmark.report.tables.rows import Kind, Row, group_cells, make_row, mark_other_images, row_title
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.schema import Record

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
SYNTHETIC = "Synthetic images: these numbers say nothing about real polyps"


@dataclass(frozen=True)
class Member:
    """One model on one test set, with its seeds.

    Attributes:
        name: Name in figures: the registry name of the six, else the printed title; external maps have a dagger.
        row: Its row of the table.
        records: One per seed, in the order of the seeds.
    """

    name: str
    row: Row
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Evidence:
    """The chosen records, and access to their data.

    Attributes:
        results: Results folder.
        records: Contents of ``run.json``, any status.
        protocol: Scoring protocol.
        measure: Which of the six.
        datasets: Test sets, in the paper's order.
        seeds: Seeds to average; None for all that were run.
        kind: ``ablation``: ablated variants beside their full model.
        remark: Ends every figure's note.
    """

    results: Path
    records: tuple[Record, ...]
    protocol: str = "pranet"
    measure: Measure = MEASURES[0]
    datasets: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    kind: Kind = "main"
    remark: str = ""
    _known: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def paths(self, record: Record) -> CellPaths:
        """The files beside a record."""
        return ResultsLayout(self.results).cell(record.cell)

    def shortlist(self, most: int) -> Evidence:
        """Return the evidence of at most so many models: BSANet, and those whose mean over the test sets is best."""
        return self.once(("shortlist", str(most)), lambda: self._best(most))

    def _best(self, most: int) -> Evidence:
        found: dict[str, list[float]] = {}
        for dataset in self.datasets:
            for member in self._quiet_rows(dataset):
                value = member.row.values.get(self.measure.key)
                if value is not None and member.records:
                    found.setdefault(record_name(member.records[0]), []).append(value)
        if len(found) <= most:
            return self
        sign = -1 if self.measure.higher_is_better else 1
        ranked = sorted(found, key=lambda name: (name != OURS, sign * float(np.mean(found[name])), name))
        ours = OURS in found
        best = f"the {most - ours} of {len(found) - ours} {'other ' * ours}models with the best mean {self.measure.key}"
        remark = f"Drawn: {'BSANet and ' * ours}{best}; bench plots --models draws others"
        kept = tuple(record for record in self.records if record_name(record) in ranked[:most])
        scores = {key: value for key, value in self._known.items() if key == ("scores",)}
        return replace(self, records=kept, remark=remark, _known=scores)

    def wanted_seeds(self, dataset: str) -> tuple[int, ...]:
        """The seeds that every model must have on a test set."""
        if self.seeds is not None:
            return tuple(sorted(self.seeds))
        return self.once(("seeds", dataset), lambda: self._seeds_run(dataset))

    def _seeds_run(self, dataset: str) -> tuple[int, ...]:
        found = select.concerning(self.records, dataset, self.protocol)
        return tuple(sorted({record.seed for record in found if not is_foreign(record)}))

    def rows(self, dataset: str) -> list[Member]:
        """Every model of a test set's table, blank ones too.

        Raises:
            BenchError: The records cannot share a table.
        """
        return self.once(("rows", dataset), lambda: self._make_rows(dataset))

    def once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """Return the cached value of a key, also of evidence that differs only in the measure."""
        if key not in self._known:
            self._known[key] = make()
        return cast("T", self._known[key])

    def _make_rows(self, dataset: str) -> list[Member]:
        found = select.concerning(self.records, dataset, self.protocol)
        select.check_comparable(found, dataset, self.protocol)
        seeds = self.wanted_seeds(dataset)
        grouped = group_cells(found, models=None, kind=self.kind)
        rows = [make_row(cells, key, dataset, self.protocol, seeds) for key, cells in grouped.items()]
        members = []
        for row, cells in zip(mark_other_images(rows), grouped.values(), strict=True):
            used = sorted((r for r in cells if row.foreign or r.seed in seeds), key=lambda r: r.seed)
            name = record_name(used[0]) + (f" ({row.setting})" if row.setting else "") if used else row.title
            members.append(Member(name, row, tuple(used)))
        return members

    def members(self, dataset: str) -> list[Member]:
        """The models that have every number on a test set.

        Raises:
            BenchError: There is none, or the records cannot share a table.
        """
        rows = self.rows(dataset)
        found = [member for member in rows if member.row.reason is None]
        if not found:
            why = rows[0].row.reason if rows else "not run"
            raise BenchError(f"no model has scores on {dataset} ({why})")
        return found

    def images(self, dataset: str) -> pd.DataFrame:
        """Return the facts of each scored image: index id; area_rel, group and more."""
        return self.once(("images", dataset), lambda: self._read_images(dataset))

    def _read_images(self, dataset: str) -> pd.DataFrame:
        path = self.paths(self.members(dataset)[0].records[0]).scores
        if not path.is_file():
            raise BenchError(f"{path} is missing; run the cell again with --if-exists overwrite")
        rows = io.read_scores(path)
        rows = rows[(rows["protocol"] == self.protocol) & (rows["dataset"] == dataset)]
        return regrouped(rows).set_index("id")

    def block(self, dataset: str) -> Block:
        """Per-image scores of the models that scored the same images without gaps.

        External models have one set of maps; it counts for every seed.

        Raises:
            BenchError: No model is left.
        """
        return self.once(("block", dataset, self.measure.key), lambda: self._make_block(dataset))

    def _make_block(self, dataset: str) -> Block:
        column, seeds = COLUMNS[self.measure.key], self.wanted_seeds(dataset) or (0,)
        gaps = self.gaps(dataset)
        by_model: dict[str, list[SetScores]] = {}
        for member in self.members(dataset):
            if member.row.title not in gaps:
                frames = [self._scores(record, dataset) for record in member.records]
                by_model[member.name] = frames * len(seeds) if member.row.foreign else frames
        if not by_model:
            raise BenchError(f"no model has a {column} for every image of {dataset}; score the cells again")
        block = stack_block(dataset, by_model, seeds, column=column)
        fixed = {member.name for member in self.members(dataset) if member.row.foreign}
        trained = tuple(name not in fixed for name in block.models)
        return replace(block, trained=trained, paired=self.kind == "ablation")

    def gaps(self, dataset: str) -> dict[str, str]:
        """Return the models whose images cannot be compared with the others', by title, with the reason."""
        return self.once(("gaps", dataset, self.measure.key), lambda: self._find_gaps(dataset))

    def _find_gaps(self, dataset: str) -> dict[str, str]:
        column, measure = COLUMNS[self.measure.key], list(COLUMNS).index(self.measure.key)
        ids: tuple[str, ...] | None = None
        found: dict[str, str] = {}
        for member in sorted(self.members(dataset), key=lambda m: m.row.foreign):
            every = [self._scores(record, dataset) for record in member.records]
            if not all(one.ids and np.isfinite(one.scores[measure]).all() for one in every):
                found[member.row.title] = f"{column} is missing or not a number for some images"
                continue
            ids = every[0].ids if ids is None else ids
            if member.row.other_images or any(one.ids != ids for one in every):
                found[member.row.title] = "scored on other images"
        return found

    def _scores(self, record: Record, dataset: str) -> SetScores:
        return self.once(("scores",), lambda: lenient_reader(self.results, self.protocol))(record.cell, dataset)

    def blocks(self) -> list[Block]:
        """The blocks of all test sets that have one.

        Raises:
            BenchError: None has.
        """
        made, reasons = [], []
        for dataset in self.datasets:
            try:
                made.append(self.block(dataset))
            except BenchError as error:
                reasons.append(str(error))
        if not made:
            raise BenchError(reasons[0] if reasons else "no test set was scored")
        return made

    @cached_property
    def trained(self) -> dict[str, list[Record]]:
        """The finished cells that were trained here, by the name of their model."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            wanted = self.seeds is None or record.seed in self.seeds
            if record.status == "ok" and not is_foreign(record) and wanted:
                found.setdefault(record_name(record), []).append(record)
        return found

    @property
    def synthetic(self) -> bool:
        """Whether any image is drawn by this package."""
        return any(record.synthetic for record in self.records)

    def note(self, datasets: Sequence[str] = ()) -> str:
        """Return the note of a figure: protocol, split, recipe, seeds, weights, models left out, synthetic images."""
        ours = [r for r in self.records if not is_foreign(r)]
        members = [m for d in datasets or self.datasets for m in self._quiet_rows(d)]
        shown = [m.row for m in members if m.row.reason is None]
        hashes = {str(r.protocols.get(self.protocol, "")) for r in self.records} - {""}
        seeds = sorted({s for row in shown if not row.foreign for s in row.seeds})
        parts = [f"Protocol {self.protocol}" + (f" ({min(hashes)})" if len(hashes) == 1 else "")]
        if ours:
            name, seed, *_ = select.split_label(ours[0]).split(":")
            parts += [f"Split {name} (seed {seed})", f"Recipe {select.recipe_label(ours[0]).replace(',', ', ')}"]
        if seeds:
            parts.append(f"Seed{'s' if len(seeds) > 1 else ''} {seed_words(seeds)}")
        weights = {row.weights for row in shown if not row.foreign and row.weights}
        parts += [text[0].upper() + text[1:] for text in sorted(weights)] if len(weights) == 1 else []
        left_out = {m.row.title: m.row.reason for m in members if m.row.reason}
        for dataset in datasets or self.datasets:
            left_out |= self._quiet_gaps(dataset)
        parts += [f"Left out: {title}, {reason}" for title, reason in left_out.items()]
        parts += sorted({f"† {row.origin}" for row in shown if row.foreign})
        parts += [SYNTHETIC] if self.synthetic else []
        parts += [self.remark] if self.remark else []
        return ". ".join(parts) + "."

    def _quiet_rows(self, dataset: str) -> list[Member]:
        try:
            return self.rows(dataset)
        except BenchError:
            return []

    def _quiet_gaps(self, dataset: str) -> dict[str, str]:
        try:
            return self.gaps(dataset)
        except BenchError:
            return {}


def record_name(record: Record) -> str:
    """Return the name of a record's model in figures."""
    model = record.model
    title = str(record.model_title or model)
    if is_foreign(record):
        return f"{title}†"
    if record.ablation:
        return row_title(model, record.ablation, title)
    return model if model in MODEL_TITLES else title
