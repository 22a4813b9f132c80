"""What each command does between its parsed options and what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

if TYPE_CHECKING:
    from benchmark.plan import Request, Study
    from benchmark.report.ablations import AblationTable
    from benchmark.report.tables import Table

EXIT_FAILED_CELL = 1
EXIT_CTRL_C = 130


def run(request: Request, *, track: bool, with_estimate: bool, dry_run: bool, as_json: bool, quiet: bool) -> int:
    """Plan, train, score, tabulate, mirror. Returns the exit code: 0, 1 when a cell failed, 130 after Ctrl-C."""
    console = Console(stderr=True)
    try:
        return _run(console, request, track, with_estimate, dry_run, as_json, quiet)
    except KeyboardInterrupt:
        _say(console, "stopped by the user: finished cells are kept; the same command goes on from here")
        return EXIT_CTRL_C


def _run(
    console: Console, request: Request, track: bool, with_estimate: bool, dry_run: bool, as_json: bool, quiet: bool
) -> int:
    from benchmark.plan import plan_study
    from benchmark.progress import watch
    from benchmark.runner import check_writable, run_study

    study = plan_study(request, _teller(console, quiet))
    if not dry_run:
        check_writable(study.layout.root)
    if not quiet:
        _print_plan(console, study, with_estimate)
    if dry_run:
        if as_json:
            _print_json(_plan_json(study))
        return 0
    with watch(console, quiet=quiet) as watcher:
        records = run_study(study, watcher)
    made = _study_tables(study, records)
    written = _write(made, study.layout.tables, ["latex", "markdown", "csv"])
    if track:
        _mirror(console, study.layout, records, written)
    if as_json:
        _print_json({"records": [record.to_json() for record in records], "files": [str(p) for p in written]})
    else:
        _print_tables(made, "markdown")
        _say(console, f"records and tables are in {study.layout.root}; 'bench tables --latex' prints them again")
    failed = [record for record in records if record.status != "ok"]
    for record in failed:
        _say(console, f"{record.status}: {record.cell}: {record.error}")
    return EXIT_FAILED_CELL if failed else 0


def ablate(
    request: Request,
    *,
    drop: Sequence[str],
    factorial: bool,
    track: bool,
    with_estimate: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Prove the switches, train the variants, write the comparison. Exit codes as ``run``."""
    console = Console(stderr=True)
    try:
        return _ablate(console, request, drop, factorial, track, with_estimate, as_json, quiet)
    except KeyboardInterrupt:
        _say(console, "stopped by the user: finished cells are kept; the same command goes on from here")
        return EXIT_CTRL_C


def _ablate(
    console: Console,
    request: Request,
    drop: Sequence[str],
    factorial: bool,
    track: bool,
    with_estimate: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    from dataclasses import replace

    from benchmark.ablation import choose_variants, measure_costs, prove
    from benchmark.config import load_recipe
    from benchmark.plan import plan_study
    from benchmark.progress import watch
    from benchmark.registry import expand_models
    from benchmark.runner import run_study

    (spec,) = expand_models(list(request.models))
    recipe = load_recipe(request.recipe, model=spec.name, overrides=request.overrides)
    variants = choose_variants(spec, recipe, drop, factorial=factorial)
    study = plan_study(replace(request, ablations=variants), _teller(console, quiet))
    proofs = prove(spec, recipe, variants)
    if not quiet:
        _print_plan(console, study, with_estimate)
        for proof in proofs:
            name = "without " + ", ".join(proof.drop) if proof.drop else "full model"
            change = f", output changes by up to {proof.output_change:.3g}" if proof.drop else ""
            _say(console, f"proof      {name}: {proof.num_params:,} parameters, {proof.gmacs:.3f} GMACs{change}")
    with watch(console, quiet=quiet) as watcher:
        records = run_study(study, watcher)
    failed = [record for record in records if record.status != "ok"]
    for record in failed:
        _say(console, f"{record.status}: {record.cell}: {record.error}")
    if failed:
        _say(console, "no table: every variant must have finished; the same command goes on from here")
        return EXIT_FAILED_CELL
    made, written = _ablation_report(study, records, measure_costs(study, proofs))
    if track:
        _mirror(console, study.layout, records, written)
    if as_json:
        _print_json([{"dataset": t.dataset, **row} for t in made for row in t.rows])
    else:
        _print_tables(made, "markdown")
        _say(console, "wrote " + ", ".join(str(path) for path in written))
    return 0


def _ablation_report(study: Study, records: Sequence[Record], costs: dict[tuple[str, ...], dict[str, float]]) -> Any:
    from benchmark.report.ablations import ablation_tables, write_ablation
    from benchmark.report.compare_plots import forest
    from benchmark.report.style import save_figure

    rows = [io.read_scores(study.layout.cell(record.cell).scores) for record in records]
    made, compared = ablation_tables([record.to_json() for record in records], rows, costs)
    name = study.cells[0].spec.name.replace(":", "_")
    written = write_ablation(made, study.layout.tables, name)
    note = "synthetic images: these differences say nothing about real polyps" if study.synthetic else ""
    written += save_figure(forest(compared, note=note), study.layout.figures, f"ablation-{name}")
    return made, written


def _teller(console: Console, quiet: bool) -> Callable[[str], None]:
    return (lambda _: None) if quiet else (lambda text: _say(console, text))


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
    from benchmark.report.tables import build_tables

    records = [record.to_json() for record in io.read_records(results)]
    made = build_tables(
        records,
        protocol=protocol,
        models=_model_names(models),
        datasets=_dataset_names(datasets),
        recipe=recipe,
        split=split,
        seeds=seeds,
        kind=kind,
        std=std,
    )
    written = _write(made, out or ResultsLayout(results).tables, formats)
    if as_json:
        _print_json([row for table in made for row in json.loads(table.frame.to_json(orient="records"))])
        return
    _print_tables(made, formats[0])
    _say(Console(stderr=True), "wrote " + ", ".join(str(path) for path in written))


def evaluate(
    request: Request,
    *,
    predictions: Path | None,
    datasets: Sequence[str],
    masks: Path | None,
    name: str | None,
    model: str | None,
    checkpoint: Path | None,
    images: str,
    protocol: str,
    allow_partial: bool,
    json_file: Path | None,
    quiet: bool,
) -> None:
    """Score maps or a checkpoint, write the record, print the figures."""
    from dataclasses import replace

    from benchmark import evaluation
    from benchmark.data.datasets import expand_datasets
    from benchmark.metrics import PROTOCOLS, get_protocol
    from benchmark.progress import watch

    if (predictions is None) == (checkpoint is None):
        raise BenchError("give either --predictions DIR (maps) or --model NAME --checkpoint FILE")
    if checkpoint is not None and model is None:
        raise BenchError("--checkpoint needs --model: whose weights are they? for example --model pranet")
    if bool(datasets) == (masks is not None):
        raise BenchError("give either --dataset NAME or --masks DIR")
    wanted = list(dict.fromkeys([get_protocol(protocol).name, *PROTOCOLS]))
    request = replace(request, protocols=wanted)
    if masks is not None:
        sets = [evaluation.folder_set(masks)]
    else:
        root, cache = request.data_root, request.cache_dir
        names = expand_datasets(datasets, root)
        sets = [evaluation.listed_set(one, root=root, part=images, cache_dir=cache) for one in names]
    with watch(Console(stderr=True), quiet=quiet) as watcher:
        if checkpoint is not None:
            assert model is not None
            record = evaluation.evaluate_checkpoint(model, checkpoint, sets, request=request, watcher=watcher)
        else:
            assert predictions is not None
            record = evaluation.evaluate_maps(
                predictions,
                sets,
                name=name or predictions.resolve().name,
                results=request.results,
                protocols=wanted,
                engine=request.engine,
                allow_partial=allow_partial,
                cache_dir=request.cache_dir,
                watcher=watcher,
            )
    rows = [_figures(record, dataset, protocol) for dataset in record.tests]
    if json_file is not None:
        io.write_json(json_file, rows[0] if len(rows) == 1 else rows)
    for row in rows:
        figures = "  ".join(f"{key} {row['metrics'][key]:.4f}" for key in _PRINTED if key in row["metrics"])
        of = f" of {row['of']}" if row["of"] else ""
        facts = f"{row['n']}{of} images, {row['protocol']} {row['protocol_hash']}"
        print(f"{row['method']} on {row['dataset']} ({facts}): {figures}")


_PRINTED = ("mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE", "dice_half", "iou_half")


def _figures(record: Record, dataset: str, protocol: str) -> dict[str, Any]:
    result = record.tests[dataset]
    return {
        "method": record.model_title,
        "dataset": dataset,
        "protocol": protocol,
        "protocol_hash": record.protocols[protocol],
        "n": result.n,
        "of": result.of,
        "metrics": result.scores[protocol],
    }


def profile(
    names: Sequence[str],
    *,
    size: int,
    batches: Sequence[int],
    repeats: int,
    device: str,
    results: Path,
    as_json: bool,
) -> None:
    """Measure models, print the rows and keep them beside older ones of other models, sizes and devices."""
    import pandas as pd

    from benchmark.profiling import as_rows
    from benchmark.profiling import profile as measure
    from benchmark.registry import expand_models

    if min(batches, default=0) < 1:
        raise BenchError(f"--batches {','.join(map(str, batches))}: expected numbers from 1 on")
    rows = as_rows(measure(expand_models(list(names)), size=size, batches=batches, repeats=repeats, device=device))
    file = ResultsLayout(results).profile
    frame = pd.DataFrame(rows)
    if file.is_file():
        frame = pd.concat([pd.read_csv(file), frame])
    key = ["model", "size_px", "batch", "device", "device_name", "num_threads", "torch"]
    io.write_text(file, frame.drop_duplicates(key, keep="last").to_csv(index=False))
    if as_json:
        _print_json(rows)
        return
    _print_rows([{k: v for k, v in row.items() if k not in ("title", "device_name", "torch")} for row in rows])
    first = rows[0]
    _say(
        Console(stderr=True),
        f"{first['device_name']}, {first['num_threads']} threads, torch {first['torch']}; kept in {file}",
    )


def protocols(*, as_json: bool) -> None:
    """Print the named protocols with their hashes, in words."""
    from benchmark.metrics import PROTOCOLS

    if as_json:
        _print_json([{"hash": p.hash, **asdict(p)} for p in PROTOCOLS.values()])
        return
    for p in PROTOCOLS.values():
        print(f"{p.name} ({p.hash})\n  {p.description}\n")


def models(name: str | None, *, as_json: bool) -> None:
    """List the models, or build one and describe it."""
    from benchmark.registry import MODELS, VARIANTS

    if name is not None:
        facts = _describe_model(name)
        if as_json:
            _print_json(facts)
        else:
            for key, value in facts.items():
                print(f"{key:12} {value}")
        return
    rows = [
        {"name": spec.name, "title": spec.title, "summary": spec.summary}
        for spec in (*MODELS.values(), *VARIANTS.values())
    ]
    if as_json:
        _print_json(rows)
    else:
        _print_rows(rows)


def data_list(root: Path | None, *, as_json: bool) -> None:
    """List the known datasets and where they were found."""
    from benchmark.data.check import list_datasets

    rows = [asdict(row) for row in list_datasets(root)]
    if as_json:
        _print_json(rows)
    else:
        _print_rows(rows)


def data_check(names: Sequence[str], root: Path | None, *, as_json: bool) -> int:
    """Check datasets; returns 1 when any has a fault."""
    from benchmark.data.check import check_dataset, list_datasets
    from benchmark.data.datasets import expand_datasets

    wanted = expand_datasets(names, root) if names else [row.name for row in list_datasets(root) if row.found]
    if not wanted:
        raise BenchError(f"no dataset found below {root}; 'bench data list' says where to get each")
    reports = [check_dataset(name, root) for name in wanted]
    if as_json:
        _print_json([asdict(report) for report in reports])
    else:
        for report in reports:
            print(report.to_text())
    return int(any(not report.ok for report in reports))


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
    _say(Console(stderr=True), f"{len(findings)} findings in {checked}")


def _published_folder() -> Path:
    """``results/published`` here, or that of the source tree that this package was installed from."""
    here = Path("results/published")
    return here if here.is_dir() else Path(__file__).resolve().parents[1] / "results" / "published"


def _print_plan(console: Console, study: Study, with_estimate: bool) -> None:
    from benchmark.metrics import get_protocol

    request, info = study.request, study.info
    recipe = study.cells[0].recipe
    names = list(dict.fromkeys(cell.spec.title for cell in study.cells))
    weights = "ImageNet weights" if recipe.pretrained else "random initialisation"
    lines = [
        f"cells      {len(study.cells)}: {', '.join(names)}; seeds {', '.join(map(str, request.seeds))}",
        f"recipe     {recipe.name}: {recipe.image_size} px, batch {recipe.batch_size}, {recipe.epochs} epochs, "
        f"{recipe.optimizer} {recipe.lr:g}, loss {recipe.loss}, {weights}",
        f"split      {info.name} (seed {info.seed}): {_of(info.num_train, recipe.max_train_images)} to train, "
        f"{_of(info.num_val, recipe.max_val_images)} to validate (they pick the checkpoint)",
    ]
    for name, items in study.split.tests.items():
        leak = f", {study.leaks[name]} of them also in training" if study.leaks.get(name) else ""
        lines.append(f"test       {name}: {_of(len(items), recipe.max_test_images)} images{leak}")
    lines += [f"partial    {name}: {reason}" for name, reason in study.split.partial.items()]
    lines += [f"missing    {name}: {reason}" for name, reason in study.split.missing.items()]
    lines += [f"protocol   {get_protocol(name).label}" for name in request.protocols]
    if study.synthetic:
        lines.append("note       synthetic images: these scores compare nothing")
    if with_estimate:
        from benchmark.estimate import as_text, estimate

        guess = estimate(study)
        slowest = max(guess.per_model, key=guess.per_model.__getitem__)
        lines.append(f"estimate   about {as_text(guess.total_s)} (from timed steps; the slowest model is {slowest})")
    for line in lines:
        _say(console, line)


def _of(count: int, limit: int | None) -> str:
    return f"{limit} of {count}" if limit is not None and limit < count else str(count)


def _plan_json(study: Study) -> dict[str, Any]:
    return {
        "cells": [cell.id for cell in study.cells],
        "split": study.info.model_dump(),
        "tests": {name: len(items) for name, items in study.split.tests.items()},
        "missing": study.split.missing,
        "num_leaked": study.leaks,
    }


def _study_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """The tables of this study, with a blank one for each test set that is missing."""
    from benchmark.report.tables import build_tables

    main = [record.to_json() for record in records if not record.ablation]
    if not main:
        return []
    sets = [*study.split.tests, *study.split.missing]
    return build_tables(main, models=list(dict.fromkeys(r["model"] for r in main)), datasets=sets)


def _write(made: Sequence[Table], folder: Path, formats: Sequence[str]) -> list[Path]:
    from benchmark.report.tables import write_tables

    return write_tables(made, folder, formats)


def _mirror(console: Console, layout: ResultsLayout, records: Sequence[Record], artifacts: list[Path]) -> None:
    from benchmark.tracking import mirror

    try:
        mirror(layout, list(records), artifacts=artifacts)
    except Exception as error:  # the store is whole; a tracking server that is away must not fail a study
        reason = (str(error) or type(error).__name__).splitlines()[0]
        _say(console, f"warning: MLflow was not updated ({reason}); the records are complete without it")


def _describe_model(name: str) -> dict[str, Any]:
    from benchmark.registry import build_model, get_spec, switches

    spec = get_spec(name)
    model = build_model(spec)
    unique = {id(p): p for p in model.parameters()}.values()
    return {
        "name": spec.name,
        "title": spec.title,
        "summary": spec.summary,
        "parameters": f"{sum(p.numel() for p in unique):,}",
        "built by": spec.target,
        "parts": "; ".join(f"{part}: {text}" for part, text in switches(spec).items()) or "none declared",
    }


def _model_names(names: Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    from benchmark.registry import MODELS

    return [part for name in names for part in (MODELS if name == "all" else [name])]


def _dataset_names(names: Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    from benchmark.data.datasets import expand_datasets

    return expand_datasets(names)


def _print_tables(made: Sequence[Table | AblationTable], form: str) -> None:
    for table in made:
        print(getattr(table, f"to_{form}")())


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Aligned columns on a terminal, tab-separated values elsewhere."""
    if not rows:
        return
    cells = [[str(key) for key in rows[0]], *(["" if v is None else str(v) for v in row.values()] for row in rows)]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(line) for line in cells))
        return
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _print_json(payload: Any) -> None:
    print(json.dumps(payload, indent=1, ensure_ascii=False, default=str))


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
