"""One table per test set, in the paper's form. Cells that were not run are visible blanks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.measures import MEASURE_KEYS, MEASURES
from benchmark.metrics.protocol import EMPTY_MASK_WORDS
from benchmark.report.records import select
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.names import DATASET_TITLES, MODEL_TITLES, dataset_order, dataset_title, model_order
from benchmark.report.records.set_scores import ScoreReader
from benchmark.report.tables.captions import gather_facts
from benchmark.report.tables.gaps import with_gaps
from benchmark.report.tables.numerals import PLAIN, Numerals
from benchmark.report.tables.rows import (
    Kind,
    Row,
    group_cells,
    make_row,
    mark_best,
    mark_other_images,
    notes,
    without_parts,
)
from benchmark.report.tables.scores import Table
from benchmark.report.tables.uncertainty import Uncertainty, find_reference, reference_row
from benchmark.store.schema import Record


def build_tables(
    records: Sequence[Record],
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
    settings: bool = False,
    titles: Mapping[str, str] | None = None,
    primary: str = MEASURE_KEYS[0],
    signed_rank: bool = False,
    read: ScoreReader | None = None,
    numerals: Numerals = PLAIN,
    siunitx: bool = False,
    measures: Sequence[str] = MEASURE_KEYS,
    order: Sequence[str] = (),
    check_marks: bool = False,
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
        settings: Let several recipes share a table, shown in a column.
        titles: Printed names by model, instead of the usual ones.
        primary: The measure that is tested, over all test sets together; the others are descriptive.
        signed_rank: Also Wilcoxon's signed-rank test of the primary measure, for these trainings alone.
        read: Where per-image scores come from; needed for ``ci`` and ``significance``.
        numerals: How scores are printed.
        siunitx: Align figures with siunitx in LaTeX.
        measures: Those that are printed.
        order: Models whose rows come first, in this order.
        check_marks: In an ablation, a column for each part in place of names.
    Returns:
        Tables in the paper's order (Kvasir, ETIS, CVC-ColonDB, CVC-EndoScene, then others).
    Raises:
        BenchError: No record, an unknown name, or records that cannot share a table.
    """
    select.check_records(records)
    _check_names(records, protocol=protocol, models=[*(models or ()), *order], datasets=datasets)
    for measure in (primary, *measures):
        if measure not in MEASURE_KEYS:
            raise unknown_name("measure", measure, MEASURE_KEYS)
    chosen = select.choose(_of_kind(records, kind), recipe=recipe, split=split)
    chosen, left_out = select.newest(chosen)
    wanted = sorted(datasets or dict.fromkeys(d for r in chosen for d in _sets_of(r)), key=dataset_order)
    reference = None
    if significance is not None:
        present = [m for m in dict.fromkeys(r.model for r in chosen) if models is None or m in models]
        reference = "" if kind == "ablation" else find_reference(significance, sorted(present, key=model_order))
    tables = [
        _build(
            chosen,
            dataset,
            protocol,
            models=models,
            seeds=seeds,
            kind=kind,
            std=std,
            settings=settings,
            titles=titles or {},
            left_out=left_out,
            numerals=numerals,
            order=order,
        )
        for dataset in wanted
    ]
    parts = _parts(chosen) if check_marks else {}
    tables = with_gaps([replace(t, siunitx=siunitx, measures=tuple(measures), parts=parts) for t in tables])
    if read is None or not (ci or reference is not None):
        return tables
    tables = [replace(t, primary=primary, signed_rank=signed_rank) for t in tables]
    from benchmark.report.tables.weighing import correct  # loads scipy

    found = correct([_weigh(table, read, ci=ci, reference=reference) for table in tables])
    return [
        replace(t, show_ci=ci, show_tests=reference is not None, uncertainty=one, notes=(*t.notes, *one.notes))
        for t, one in zip(tables, found, strict=True)
    ]


def _weigh(table: Table, read: ScoreReader, *, ci: bool, reference: str | None) -> Uncertainty:
    """Intervals and comparisons of one table."""
    ablation = table.kind == "ablation"
    from benchmark.report.tables.weighing import weigh

    return weigh(
        table.dataset,
        table.rows,
        read,
        intervals=ci,
        reference_of=None if reference is None else reference_row(table.rows, reference, ablation=ablation),
        primary=table.primary,
        ablation=ablation,
        signed_rank=table.signed_rank,
    )


def _sets_of(record: Record) -> list[str]:
    return [*record.tests, *record.missing]


def _of_kind(records: Sequence[Record], kind: Kind) -> list[Record]:
    if kind == "main":
        return [r for r in records if not r.ablation]
    ablated = {r.model for r in records if r.ablation}
    if not ablated:
        raise BenchError("no ablated cell among the results; run 'bench ablate' first")
    return [r for r in records if r.model in ablated and not is_foreign(r)]


def _check_names(
    records: Sequence[Record],
    *,
    protocol: str,
    models: Sequence[str] | None,
    datasets: Sequence[str] | None,
) -> None:
    protocols = {p for r in records for p in r.protocols}
    if protocols and protocol not in protocols:
        raise unknown_name("protocol", protocol, protocols)
    known_models = {*MODEL_TITLES, *(r.model for r in records)}
    for model in models or ():
        if model not in known_models:
            raise unknown_name("model", model, known_models)
    known_sets = {*DATASET_TITLES, *(d for r in records for d in _sets_of(r))}
    for dataset in datasets or ():
        if dataset not in known_sets:
            raise unknown_name("dataset", dataset, known_sets)


def _build(
    chosen: Sequence[Record],
    dataset: str,
    protocol: str,
    *,
    models: Sequence[str] | None,
    seeds: Sequence[int] | None,
    kind: Kind,
    std: bool,
    settings: bool,
    titles: Mapping[str, str],
    left_out: Mapping[str, list[str]],
    numerals: Numerals,
    order: Sequence[str],
) -> Table:
    records = select.concerning(chosen, dataset, protocol)
    select.check_comparable(records, dataset, protocol, by_recipe=settings)
    ours = [r for r in records if not is_foreign(r)]
    wanted_seeds = tuple(sorted(set(seeds) if seeds is not None else {r.seed for r in ours}))
    rows = [
        make_row(found, key, dataset, protocol, wanted_seeds)
        for key, found in group_cells(records, models=models, kind=kind, by_recipe=settings, order=order).items()
    ]
    rows = [_retitled(row, titles) for row in mark_other_images(rows)]
    title = next((r.tests[dataset].title for r in records if dataset in r.tests), None)
    older = [
        f"Left out, made by older code: {', '.join(cells)}"
        for model, cells in left_out.items()
        if any(row.model == model for row in rows)
    ]
    earlier = [r.cell for r in select.superseded(chosen, dataset, protocol) if protocol in r.tests[dataset].scores]
    older += [f"Left out, scored again later: {', '.join(earlier)}"] if earlier else []
    marks = {(i, m.key): mark for m in MEASURES for i, mark in mark_best(rows, m, numerals).items()}
    return Table(
        dataset=dataset,
        title=dataset_title(dataset, title),
        kind=kind,
        rows=tuple(rows),
        facts=gather_facts(records, rows, dataset, protocol, wanted_seeds),
        notes=(*notes(rows), *_without_polyp(records, dataset, protocol), *_incomplete(records), *older),
        show_std=std,
        show_settings=settings or any(row.setting for row in rows),
        marks=marks,
        numerals=numerals,
    )


def _retitled(row: Row, titles: Mapping[str, str]) -> Row:
    """Put the name that the user wants in place of the usual one."""
    return replace(row, title=without_parts(titles[row.model], row.ablation)) if row.model in titles else row


def _parts(records: Sequence[Record]) -> dict[str, tuple[str, ...]]:
    """The parts of each model; of records that state none, those that some variant lacks."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        found.setdefault(record.model, {}).update(dict.fromkeys([*record.parts, *record.ablation]))
    return {model: tuple(parts) for model, parts in found.items()}


def _without_polyp(records: Sequence[Record], dataset: str, protocol: str) -> list[str]:
    """Count the images without a polyp, and say what the protocol did with them."""
    tests = [r.tests[dataset] for r in records if dataset in r.tests]
    found = {(one.n, test.n, one.rule) for test in tests if (one := test.empty_masks.get(protocol)) is not None}
    return [f"{n} of {of} images show no polyp: {EMPTY_MASK_WORDS[rule]}" for n, of, rule in sorted(found)]


def _incomplete(records: Sequence[Record]) -> list[str]:
    """Return a note on the datasets of which only a part was on disk, for training as for testing."""
    parts = {name: what for r in records for name, what in r.partial.items()}
    if not parts:
        return []
    return ["Incomplete datasets: " + "; ".join(f"{dataset_title(name)}, {what}" for name, what in parts.items())]
