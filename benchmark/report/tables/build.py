"""One table per test set, in the paper's form. What was not run is a visible blank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmark.errors import BenchError, unknown_name
from benchmark.report.records import select
from benchmark.report.records.names import (
    DATASET_TITLES,
    MEASURES,
    MODEL_TITLES,
    dataset_order,
    dataset_title,
    model_order,
)
from benchmark.report.records.select import RecordDict
from benchmark.report.tables.captions import Facts, gather_facts
from benchmark.report.tables.escape import label
from benchmark.report.tables.rows import Kind, Row, group_cells, make_row, mark_best, notes
from benchmark.report.tables.scores import score_sheet
from benchmark.report.tables.sheet import Mark, Sheet
from benchmark.report.tables.uncertainty import ScoreReader, Uncertainty, find_reference, reference_row, weigh

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """The rows of one test set with everything the caption and the notes say."""

    dataset: str
    title: str
    kind: Kind
    rows: tuple[Row, ...]
    facts: Facts
    notes: tuple[str, ...] = ()
    show_std: bool = False
    show_ci: bool = False
    show_tests: bool = False
    uncertainty: Uncertainty = field(default_factory=Uncertainty)
    marks: Mapping[tuple[int, str], Mark] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return f"{'table' if self.kind == 'main' else 'ablation'}-{label(self.dataset)}"

    @property
    def sheet(self) -> Sheet:
        """The table ready to print."""
        return score_sheet(self)

    @property
    def frame(self) -> pd.DataFrame:
        """The CSV as a data frame."""
        return self.sheet.frame

    def to_latex(self) -> str:
        """Return a ``table`` environment; it needs ``\\usepackage{booktabs}`` and nothing else."""
        return self.sheet.to_latex()

    def to_markdown(self) -> str:
        """Return a GitHub table under a caption line."""
        return self.sheet.to_markdown()

    def to_html(self) -> str:
        """Return a ``table`` element with its caption, and the notes behind it."""
        return self.sheet.to_html()

    def to_csv(self) -> str:
        """Return CSV text with a header, six decimals."""
        return self.sheet.to_csv()


def build_tables(
    records: Sequence[RecordDict],
    *,
    protocol: str = "pranet",
    models: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    recipe: str | None = None,
    split: str | None = None,
    seeds: Sequence[int] | None = None,
    kind: Kind = "main",
    std: bool = False,
    ci: bool = False,
    significance: str | None = None,
    read: ScoreReader | None = None,
) -> list[Table]:
    """Build one table per test set.

    Args:
        records: ``run.json`` contents, any status.
        protocol: Whose scores to show.
        models: Rows wanted, a model without a record is a blank row; None: every model that has a record.
        datasets: Test sets wanted; None: every one that a record scored or misses.
        recipe: Name, hash, ``name-hash`` or label; needed only where records of several would share a table.
        split: ``name``, ``name:seed`` or ``name:seed:fingerprint``; as above.
        seeds: Seeds to average; None: every seed found. A model that lacks one of them is a blank row.
        kind: ``main`` leaves ablated variants out; ``ablation`` shows them below their full model.
        std: Print the standard deviation over seeds beside each mean.
        ci: Print the 95 % interval below each mean.
        significance: Mark what differs from this model (in an ablation: from the full form of the same model); the
            empty text stands for BSANet, None for no marks.
        read: Where per-image scores come from; needed for ``ci`` and ``significance``.
    Returns:
        Tables in the paper's order (Kvasir, ETIS, CVC-ColonDB, CVC-EndoScene, then others).
    Raises:
        BenchError: No record, an unknown name, or records that cannot share a table.
    """
    select.check_records(records)
    _check_names(records, protocol=protocol, models=models, datasets=datasets)
    chosen = select.choose(_of_kind(records, kind), recipe=recipe, split=split)
    chosen, left_out = select.newest(chosen)
    wanted = sorted(datasets or dict.fromkeys(d for r in chosen for d in _sets_of(r)), key=dataset_order)
    reference = None
    if significance is not None:
        present = [m for m in dict.fromkeys(str(r["model"]) for r in chosen) if models is None or m in models]
        reference = "" if kind == "ablation" else find_reference(significance, sorted(present, key=model_order))
    tables = [
        _build(
            select.concerning(chosen, dataset),
            dataset,
            protocol,
            models=models,
            seeds=seeds,
            kind=kind,
            std=std,
            left_out=left_out,
        )
        for dataset in wanted
    ]
    if read is None or not (ci or reference is not None):
        return tables
    return [_weighed(table, read, ci=ci, reference=reference) for table in tables]


def _weighed(table: Table, read: ScoreReader, *, ci: bool, reference: str | None) -> Table:
    """Add intervals and comparisons."""
    ablation = table.kind == "ablation"
    find = None if reference is None else reference_row(table.rows, reference, ablation=ablation)
    found = weigh(table.dataset, table.rows, read, intervals=ci, reference_of=find)
    return replace(
        table,
        show_ci=ci,
        show_tests=reference is not None,
        uncertainty=found,
        notes=(*table.notes, *found.notes),
    )


def _sets_of(record: RecordDict) -> list[str]:
    return [*(record.get("tests") or {}), *(record.get("missing") or {})]


def _of_kind(records: Sequence[RecordDict], kind: Kind) -> list[RecordDict]:
    if kind == "main":
        return [r for r in records if not r.get("ablation")]
    ablated = {r["model"] for r in records if r.get("ablation")}
    if not ablated:
        raise BenchError("no ablated cell among the results; run 'bench ablate' first")
    return [r for r in records if r["model"] in ablated and not select.is_foreign(r)]


def _check_names(
    records: Sequence[RecordDict],
    *,
    protocol: str,
    models: Sequence[str] | None,
    datasets: Sequence[str] | None,
) -> None:
    protocols = {p for r in records for p in (r.get("protocols") or {})}
    if protocols and protocol not in protocols:
        raise unknown_name("protocol", protocol, protocols)
    known_models = {*MODEL_TITLES, *(str(r["model"]) for r in records)}
    for model in models or ():
        if model not in known_models:
            raise unknown_name("model", model, known_models)
    known_sets = {*DATASET_TITLES, *(d for r in records for d in _sets_of(r))}
    for dataset in datasets or ():
        if dataset not in known_sets:
            raise unknown_name("dataset", dataset, known_sets)


def _build(
    records: Sequence[RecordDict],
    dataset: str,
    protocol: str,
    *,
    models: Sequence[str] | None,
    seeds: Sequence[int] | None,
    kind: Kind,
    std: bool,
    left_out: Mapping[str, list[str]],
) -> Table:
    select.check_comparable(records, dataset, protocol)
    ours = [r for r in records if not select.is_foreign(r)]
    wanted_seeds = tuple(sorted(set(seeds) if seeds is not None else {int(r["seed"]) for r in ours}))
    rows = [
        make_row(found, key, dataset, protocol, wanted_seeds)
        for key, found in group_cells(records, models=models, kind=kind).items()
    ]
    title = next((str(r["tests"][dataset]["title"]) for r in records if dataset in (r.get("tests") or {})), None)
    older = [
        f"Left out, made by older code: {', '.join(cells)}"
        for model, cells in left_out.items()
        if any(row.model == model for row in rows)
    ]
    marks = {(i, m.key): mark for m in MEASURES for i, mark in mark_best(rows, m).items()}
    return Table(
        dataset=dataset,
        title=dataset_title(dataset, title),
        kind=kind,
        rows=tuple(rows),
        facts=gather_facts(records, rows, dataset, protocol, wanted_seeds),
        notes=(*notes(rows), *_incomplete(records), *older),
        show_std=std,
        marks=marks,
    )


def _incomplete(records: Sequence[RecordDict]) -> list[str]:
    """One note on the datasets of which only a part was at hand, for training as for testing."""
    parts = {name: what for r in records for name, what in (r.get("partial") or {}).items()}
    if not parts:
        return []
    return ["Incomplete datasets: " + "; ".join(f"{dataset_title(name)}, {what}" for name, what in parts.items())]
