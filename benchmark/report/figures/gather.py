"""The choice of the records that figures and pages are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.measures import MEASURES
from benchmark.report.figures.evidence import Evidence, record_name
from benchmark.report.records import select
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.names import MODEL_TITLES, dataset_order
from benchmark.report.records.protocols import require_image_means, resolve_protocol
from benchmark.report.tables.rows import Kind
from benchmark.store.schema import Record


def gather(
    results: Path,
    records: Sequence[Record],
    *,
    protocol: str = "pranet",
    measure: str = "mDSC",
    models: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    recipe: str | None = None,
    split: str | None = None,
    seeds: Sequence[int] | None = None,
    kind: Kind = "main",
) -> Evidence:
    """Choose the records that figures are drawn from.

    Args:
        results: Their folder.
        records: ``run.json`` contents.
        protocol: Scoring protocol.
        measure: One of the six, as in ``run.json``.
        models: Registry names or titles; None for all.
        datasets: Test sets; None for every one that a record scored.
        recipe: As for ``build_tables``. split: As there. seeds: As there. kind: As there.
    Raises:
        BenchError: No record, an unknown name, or records that cannot share a table.
    """
    select.check_records(records)
    known = {m.key: m for m in MEASURES}
    if measure not in known:
        raise unknown_name("measure", measure, known)
    protocol = resolve_protocol(records, protocol)
    require_image_means(records, protocol, "figures")
    chosen = _of_kind(_of_models(records, models), kind)
    chosen, _ = select.newest(select.choose(chosen, recipe=recipe, split=split))
    found = sorted(dict.fromkeys(d for r in chosen for d in r.tests), key=dataset_order)
    for name in datasets or ():
        if name not in found:
            raise unknown_name("dataset", name, found) if found else BenchError("no test set was scored")
    sets = tuple(name for name in found if datasets is None or name in datasets)
    evidence = Evidence(
        results, tuple(chosen), protocol, known[measure], sets, tuple(seeds) if seeds is not None else None, kind
    )
    for dataset in sets:
        evidence.rows(dataset)
    return evidence


def _of_models(records: Sequence[Record], models: Sequence[str] | None) -> list[Record]:
    if models is None:
        return list(records)
    known = {str(name) for r in records for name in (r.model, r.model_title, record_name(r)) if name}
    for name in models:
        if name not in known and name not in MODEL_TITLES:
            raise unknown_name("model", name, known)
    return [r for r in records if {r.model, r.model_title, record_name(r)} & set(models)]


def _of_kind(records: Sequence[Record], kind: Kind) -> list[Record]:
    if kind == "main":
        return [r for r in records if not r.ablation]
    ablated = {r.model for r in records if r.ablation}
    if not ablated:
        raise BenchError("no ablated cell among the results; run 'bench ablate' first")
    return [r for r in records if r.model in ablated and not is_foreign(r)]
