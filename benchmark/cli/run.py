"""`bench run` and `bench ablate`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import TRAIN, app, integers, names
from benchmark.cli.options import (
    DataOptions,
    InitFrom,
    Json,
    Models,
    Seeds,
    StudyOptions,
    TrainingOptions,
    expanded,
    make_request,
)
from benchmark.cli.printing import Flags, print_json, print_tables, say, stderr, tell

if TYPE_CHECKING:
    from benchmark.execution.placement import Placement
    from benchmark.execution.study import Trained
    from benchmark.store.schema import Record
    from benchmark.study.events import Events, ManyEvents
    from benchmark.study.plan import Request

EXIT_FAILED_CELL = 1


@app.command(rich_help_panel=TRAIN)
@expanded
def run(
    data: DataOptions,
    training: TrainingOptions,
    options: StudyOptions,
    models: Models = "all",
    seeds: Seeds = "0",
    protocol: Annotated[
        str,
        typer.Option(help="Protocol of the printed tables: name, or FILE.toml.", autocompletion=complete.protocols),
    ] = "pranet",
    init_from: InitFrom = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Train and score models under the same conditions, then print the tables.

    Finished cells are kept; unfinished ones continue from their last checkpoint (--if-exists resume), start again
    (skip); overwrite trains everything again.

    Example: bench run --models all --datasets phantom --recipe smoke
    """
    placement = options.placement
    more = {"seeds": integers(seeds, "--seeds"), "protocol": protocol, "init_from": init_from}
    request = make_request(models, data, training, options, **more)
    if options.estimate:
        from dataclasses import replace

        from benchmark.cli.estimate import show_cost
        from benchmark.data.splits.rules import all_folds

        folds = all_folds(request.split)
        show_cost(replace(request, split=folds[0]), as_json=as_json)
        if len(folds) > 1 and not as_json:
            say(f"note       the cost of one of {len(folds)} folds")
        return
    plans: list[object] = []

    def work() -> int:
        """Run the study; with kfold:K once for each fold, and tables over all of them at the end."""
        from benchmark.execution.study import fold_requests, fold_tables

        requests = fold_requests(request)
        done = [one for single in requests if (one := run_one(single, alone=len(requests) == 1)) is not None]
        records = [record for one in done for record in one.records]
        if plans:
            print_json(plans[0] if len(plans) == 1 else plans)
        if as_json and done:
            files = [str(path) for one in done for path in one.files]
            print_json({"records": [record.to_json() for record in records], "files": files})
        elif len(done) > 1:
            print_tables(fold_tables(request, records), "markdown")
        return _tell_failed([record for one in done for record in one.failed])

    def run_one(request: Request, *, alone: bool) -> Trained | None:
        from benchmark.cli.plan_text import plan_json, print_plan
        from benchmark.execution.study import check_study, train_study, try_study
        from benchmark.study.plan import plan_study

        if not alone and not as_json:
            say(f"fold       {request.split}")
        study = plan_study(request, _unless(as_json))
        if not dry_run:
            check_study(study, placement)  # before the estimate, which is slow
        notes = try_study(study)
        if not as_json:
            print_plan(study, options.time_first)
            for note in notes:
                say(f"warning    {note}")
        if dry_run:
            if as_json:
                plans.append(plan_json(study))
            return None
        _note_log_checkpoints(options, as_json)
        with _progress(placement, as_json) as events:
            done = train_study(
                study,
                placement=placement,
                track=options.track,
                checkpoints=options.log_checkpoints,
                events=events,
            )
        _say_nondeterministic(done.records, as_json)
        if not as_json:
            if alone:
                print_tables(done.tables, "markdown")
            say(f"records are in {study.layout.root}; 'bench tables' prints and 'bench plots' draws them")
        return done

    raise typer.Exit(_until_signal(work, placement if not dry_run else None, devices=options.devices))


@app.command(rich_help_panel=TRAIN)
@expanded
def ablate(
    data: DataOptions,
    training: TrainingOptions,
    options: StudyOptions,
    model: Annotated[
        str, typer.Option(help="The model whose parts are dropped.", autocompletion=complete.models)
    ] = "bsanet",
    drop: Annotated[str | None, typer.Option(help="Parts, comma-separated; all of the model's if unset.")] = None,
    off: Annotated[
        str | None,
        typer.Option(help="Further parts that are only switched off in the trained full network; none is trained."),
    ] = None,
    factorial: Annotated[bool, typer.Option("--factorial", help="Train every subset of the parts.")] = False,
    seeds: Seeds = "0",
    as_json: Json = False,
) -> None:
    """Train a model with all parts, without each and without all, on the same seeds and batches; compare in pairs.

    Checks before training that each switch changes the network. Writes a table (Markdown, LaTeX, CSV) and a forest
    plot of the differences, and both as one HTML page. Where the model allows it, each part is also switched off in the
    trained full network: a second line of the table, without training.

    Example: bench ablate --model bsanet --drop isam,fsam,rendering --datasets phantom --recipe smoke
    """
    placement = options.placement
    request = make_request(model, data, training, options, seeds=integers(seeds, "--seeds"))
    parts = names(drop) if drop else []
    if options.estimate:
        from benchmark.cli.estimate import show_cost

        show_cost(request, ablate=model, drop=parts, factorial=factorial, only_ablation=True, as_json=as_json)
        return

    def work() -> int:
        from benchmark.cli.plan_text import print_plan, proof_lines
        from benchmark.execution.study import plan_ablation, train_ablation

        switched = names(off) if off else []
        plan = plan_ablation(
            request, parts, off=switched, factorial=factorial, placement=placement, notice=_unless(as_json)
        )
        if not as_json:
            print_plan(plan.study, options.time_first)
            for line in proof_lines(plan.proofs):
                say(line)
        _note_log_checkpoints(options, as_json)
        with _progress(placement, as_json) as events:
            done = train_ablation(
                plan,
                placement=placement,
                track=options.track,
                checkpoints=options.log_checkpoints,
                events=events,
            )
        _say_nondeterministic(done.records, as_json)
        if done.failed:
            code = _tell_failed(done.failed)
            tell("no table: every variant must have finished; run the same command again to continue")
            return code
        if as_json:
            print_json([dict(row) for sheet in done.tables for row in sheet.data])
        else:
            print_tables(done.tables, "markdown")
            say("wrote " + ", ".join(map(str, done.files)))
        return 0

    raise typer.Exit(_until_signal(work, placement, devices=options.devices))


def _until_signal(work: Callable[[], int], placement: Placement | None, *, devices: int) -> int:
    """Run a study with its workers started early; return its exit code, or 130 or 143 after a signal."""
    from benchmark.execution.placement import Placement
    from benchmark.execution.prestart import started_ahead
    from benchmark.runtime.signals import exit_code

    if devices > 1:  # else each process warns that it looked for unused parameters and found none
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        with started_ahead(placement or Placement()):
            return work()
    except KeyboardInterrupt as stop:
        tell("stopped by a signal: finished cells are kept; run the same command again to continue")
        return exit_code(stop)


@contextmanager
def _progress(placement: Placement, as_json: bool) -> Iterator[Events | ManyEvents]:
    from benchmark.display.choose import watch_run

    with watch_run(stderr(), many=not placement.is_here, quiet=Flags.quiet or as_json) as shown:
        yield shown


def _unless(as_json: bool) -> Callable[[str], None]:
    return (lambda _: None) if as_json else say


def _note_log_checkpoints(options: StudyOptions, as_json: bool) -> None:
    if options.log_checkpoints and not options.track and not as_json:
        say("ignored    --log-checkpoints: --no-track writes nothing to MLflow")


def _say_nondeterministic(records: list[Record], as_json: bool) -> None:
    """Print in one line the operations without a deterministic form; nothing where there are none."""
    from benchmark.execution.study import nondeterministic
    from benchmark.runtime.determinism import in_words

    found = nondeterministic(records)
    if found and not as_json:
        say(in_words(found))


def _tell_failed(failed: list[Record]) -> int:
    for record in failed:
        tell(f"{record.status}: {record.cell}: {record.error}")
    return EXIT_FAILED_CELL if failed else 0
