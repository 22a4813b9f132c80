"""`bench run` and `bench ablate`: plan, train, score, tabulate, mirror."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.commands.plan_text import plan_json, print_plan
from benchmark.commands.printing import print_json, print_tables, say, teller
from benchmark.commands.tracked import TrackingWatcher, asked_of, tracked
from benchmark.errors import BenchError
from benchmark.execution.placement import Placement
from benchmark.execution.prestart import started_ahead
from benchmark.runtime.signals import exit_code
from benchmark.store import io
from benchmark.store.schema import Record

if TYPE_CHECKING:
    from benchmark.commands.tracked import Tracker
    from benchmark.report.tables.scores import Table
    from benchmark.study.plan import Request, Study

EXIT_FAILED_CELL = 1
HERE = Placement()


def run(
    request: Request,
    *,
    placement: Placement,
    track: bool,
    checkpoints: bool,
    time_first: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Plan, train, score, tabulate, mirror. Returns the exit code: 0, 1 when a cell failed, 130 after Ctrl-C."""
    console = Console(stderr=True)
    _hush_torch(request)
    try:
        with started_ahead(HERE if dry_run else placement):
            return _run(console, request, placement, track, checkpoints, time_first, dry_run, as_json, quiet)
    except KeyboardInterrupt as stop:
        say(console, "stopped by a signal: finished cells are kept; the same command goes on from here")
        return exit_code(stop)


def _run(
    console: Console,
    request: Request,
    placement: Placement,
    track: bool,
    checkpoints: bool,
    time_first: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    from benchmark.execution.runner import check_weights, check_writable
    from benchmark.study.plan import plan_study

    study = plan_study(request, teller(console, quiet))
    if not dry_run:
        check_writable(study.layout.root)
        check_weights(study, here=placement.executor == "local")  # before the estimate, which takes its time
    if not quiet:
        print_plan(console, study, time_first)
    if dry_run:
        if as_json:
            print_json(plan_json(study))
        return 0
    records, made, written = perform(
        console, study, placement=placement, track=track, checkpoints=checkpoints, quiet=quiet
    )
    if as_json:
        print_json({"records": [record.to_json() for record in records], "files": [str(p) for p in written]})
    else:
        print_tables(made, "markdown")
        say(console, f"records are in {study.layout.root}; 'bench tables' prints and 'bench plots' draws them")
    failed = [record for record in records if record.status != "ok"]
    for record in failed:
        say(console, f"{record.status}: {record.cell}: {record.error}")
    return EXIT_FAILED_CELL if failed else 0


def perform(
    console: Console,
    study: Study,
    *,
    placement: Placement = HERE,
    track: bool,
    checkpoints: bool,
    quiet: bool,
) -> tuple[list[Record], list[Table], list[Path]]:
    """Train, score, tabulate and mirror a study; returns its records, its tables and the files written."""
    from benchmark.report.sheets.files import write_tables

    if checkpoints and not track and not quiet:
        say(console, "ignored    --log-checkpoints: with --no-track nothing goes to MLflow")
    asked = asked_of(study.request)
    with tracked(console, study.layout, "run", asked, track=track, checkpoints=checkpoints) as tracker:
        records = _run_cells(console, study, placement, tracker, quiet)
        _say_unsteady(console, records, quiet)
        made = _study_tables(study, records)
        written = write_tables(made, study.layout.tables, ["latex", "markdown", "csv"])
        tracker.files += written
    return list(records), made, written


def _say_unsteady(console: Console, records: Sequence[Record], quiet: bool) -> None:
    """Name the operations that --deterministic could not make so, in one line; nothing where there are none."""
    names = [name for record in records for name in record.environment.get("nondeterministic", [])]
    if names and not quiet:
        from benchmark.runtime.determinism import in_words

        say(console, in_words(names))


def _hush_torch(request: Request) -> None:
    """Torch is told before it is loaded: each process would say that it looked for unused parameters and found none."""
    if request.devices > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _run_cells(console: Console, study: Study, placement: Placement, tracker: Tracker, quiet: bool) -> list[Record]:
    """Train and score every cell, in this process or where ``placement`` says."""
    if placement.is_here:
        from benchmark.display.progress import watch
        from benchmark.execution.runner import run_study

        with watch(console, quiet=quiet) as watcher:
            return run_study(study, TrackingWatcher(watcher, tracker))
    from benchmark.display.many_cells import watch_many
    from benchmark.execution.driver import run_spread

    with watch_many(console, quiet=quiet) as crowd:
        return run_spread(study, placement, crowd, lambda watcher: TrackingWatcher(watcher, tracker))


def ablate(
    request: Request,
    *,
    drop: Sequence[str],
    factorial: bool,
    placement: Placement,
    track: bool,
    checkpoints: bool,
    time_first: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Prove the switches, train the variants, write the comparison. Exit codes as ``run``."""
    console = Console(stderr=True)
    _hush_torch(request)
    try:
        with started_ahead(placement):
            return _ablate(console, request, drop, factorial, placement, track, checkpoints, time_first, as_json, quiet)
    except KeyboardInterrupt as stop:
        say(console, "stopped by a signal: finished cells are kept; the same command goes on from here")
        return exit_code(stop)


def _ablate(
    console: Console,
    request: Request,
    drop: Sequence[str],
    factorial: bool,
    placement: Placement,
    track: bool,
    checkpoints: bool,
    time_first: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    made, written, failed = perform_ablation(
        console,
        request,
        drop,
        factorial,
        placement=placement,
        track=track,
        checkpoints=checkpoints,
        time_first=time_first,
        quiet=quiet,
    )
    if failed:
        say(console, "no table: every variant must have finished; the same command goes on from here")
        return EXIT_FAILED_CELL
    if as_json:
        print_json([{"dataset": t.dataset, **row} for t in made for row in t.rows])
    else:
        print_tables(made, "markdown")
        say(console, "wrote " + ", ".join(str(path) for path in written))
    return 0


def perform_ablation(
    console: Console,
    request: Request,
    drop: Sequence[str],
    factorial: bool,
    *,
    placement: Placement = HERE,
    track: bool,
    checkpoints: bool,
    time_first: bool,
    quiet: bool,
) -> tuple[list[Any], list[Path], list[Record]]:
    """Prove, train and compare the variants; returns tables, files written, and the records of failed cells."""
    from dataclasses import replace

    from benchmark.config import load_recipe
    from benchmark.execution.ablation import measure_costs, prove
    from benchmark.execution.runner import check_weights, check_writable
    from benchmark.models.registry import expand_models
    from benchmark.study.plan import plan_study
    from benchmark.study.variants import choose_variants

    specs = expand_models(list(request.models))
    if len(specs) != 1:
        raise BenchError(f"--model {','.join(request.models)}: an ablation takes one model, for example bsanet")
    spec = specs[0]
    recipe = load_recipe(request.recipe, model=spec.name, overrides=request.overrides)
    variants = choose_variants(spec, recipe, drop, factorial=factorial)
    study = plan_study(replace(request, ablations=variants), teller(console, quiet))
    check_writable(study.layout.root)
    check_weights(study, here=placement.executor == "local")
    proofs = prove(study.cells[0], variants)
    if not quiet:
        print_plan(console, study, time_first)
        for proof in proofs:
            name = "without " + ", ".join(proof.drop) if proof.drop else "full model"
            change = f", output changes by up to {proof.output_change:.3g}" if proof.drop else ""
            say(console, f"proof      {name}: {proof.num_params:,} parameters, {proof.gmacs:.3f} GMACs{change}")
    if checkpoints and not track and not quiet:
        say(console, "ignored    --log-checkpoints: with --no-track nothing goes to MLflow")
    asked = asked_of(study.request)
    with tracked(console, study.layout, "ablate", asked, track=track, checkpoints=checkpoints) as tracker:
        records = _run_cells(console, study, placement, tracker, quiet)
        _say_unsteady(console, records, quiet)
        failed = [record for record in records if record.status != "ok"]
        for record in failed:
            say(console, f"{record.status}: {record.cell}: {record.error}")
        if failed:
            return [], [], failed
        made, written = _ablation_report(study, records, measure_costs(study, proofs))
        tracker.files += written
    return list(made), written, []


def _ablation_report(study: Study, records: Sequence[Record], costs: dict[tuple[str, ...], dict[str, float]]) -> Any:
    from benchmark.report.figures.comparisons import forest
    from benchmark.report.figures.style import save_figure
    from benchmark.report.tables.ablations import ablation_tables, write_ablation

    rows = [io.read_scores(study.layout.cell(record.cell).scores) for record in records]
    rows = [frame[frame["dataset"].isin(list(study.split.tests))] for frame in rows]
    made, compared = ablation_tables(records, rows, costs)
    name = study.cells[0].spec.name.replace(":", "_")
    written = write_ablation(made, study.layout.tables, name)
    note = "synthetic images: these differences say nothing about real polyps" if study.synthetic else ""
    written += save_figure(forest(compared, note=note), study.layout.figures, f"ablation-{name}")
    return made, written


def _study_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """The tables of this study, a blank one for each test set that is missing; none where no cell came so far."""
    from benchmark.report.tables.build import build_tables

    main = [record for record in records if not record.ablation]
    if not any(record.tests for record in main):
        return []
    sets = [*study.split.tests, *study.split.missing]
    models = list(dict.fromkeys(r.model for r in main))
    return build_tables(main, protocol=study.request.printed.name, models=models, datasets=sets)
