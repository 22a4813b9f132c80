"""`bench tables` and `bench audit published`: from records and printed numbers; no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from benchmark.commands.printing import print_json, print_tables, say
from benchmark.store import io
from benchmark.store.layout import ResultsLayout


def tables(
    results: Path,
    *,
    formats: Sequence[str],
    protocol: str,
    models: Sequence[str] | None,
    datasets: Sequence[str] | None,
    recipe: str | None,
    split: str | None,
    seeds: Sequence[int] | None,
    std: bool,
    kind: Literal["main", "ablation"],
    out: Path | None,
    as_json: bool,
) -> None:
    """Build the tables of a results folder, write them, print the first format asked for."""
    from benchmark.report.tables import build_tables, write_tables

    records = [record.to_json() for record in io.read_records(results)]
    made = build_tables(
        records,
        protocol=protocol,
        models=model_names(models),
        datasets=dataset_names(datasets),
        recipe=recipe,
        split=split,
        seeds=seeds,
        kind=kind,
        std=std,
    )
    written = write_tables(made, out or ResultsLayout(results).tables, formats)
    if as_json:
        print_json([row for table in made for row in json.loads(table.frame.to_json(orient="records"))])
        return
    print_tables(made, formats[0])
    say(Console(stderr=True), "wrote " + ", ".join(str(path) for path in written))


def model_names(names: Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    from benchmark.registry import MODELS

    return [part for name in names for part in (MODELS if name == "all" else [name])]


def dataset_names(names: Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    from benchmark.data.datasets import expand_datasets

    return expand_datasets(names)


def audit_published(files: Sequence[Path], *, notes: bool, json_file: Path | None) -> None:
    """Print and write what does not hold in printed tables."""
    from benchmark.report.published import audit_published as audit
    from benchmark.report.published import findings_json, published_files

    paths = list(files) or published_files(_published_folder())
    findings = [one for one in audit(paths, notes=notes) if notes or one.severity != "note"]
    if json_file is not None:
        io.write_text(json_file, findings_json(findings))
    for one in findings:
        print(f"{one.severity} ({one.rule}) in {one.table}, {one.dataset}, {one.model}: {one.message}")
    checked = ", ".join(path.name for path in paths)
    say(Console(stderr=True), f"{len(findings)} findings in {checked}")


def _published_folder() -> Path:
    """``results/published`` here, or that of the source tree that this package was installed from."""
    here = Path("results/published")
    return here if here.is_dir() else Path(__file__).resolve().parents[2] / "results" / "published"
