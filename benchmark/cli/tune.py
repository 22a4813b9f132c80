"""`bench tune`."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.app import TRAIN, app
from benchmark.cli.options import DataOptions, Json, Models, TrainingOptions, expanded, make_request
from benchmark.cli.printing import events, print_json, print_rows, say, tell

if TYPE_CHECKING:
    from benchmark.tuning.plan import Asked, Tuning
    from benchmark.tuning.run import Tuned


@app.command(rich_help_panel=TRAIN)
@expanded
def tune(
    data: DataOptions,
    training: TrainingOptions,
    models: Models = "all",
    trials: Annotated[int, typer.Option(help="Trials per model, completed or pruned; the same for all.")] = 20,
    space: Annotated[Path | None, typer.Option(help="Search space (TOML); the packaged one if unset.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="Journal file, or URL of a database (sqlite, postgresql) that several machines share."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the sampler and of all trainings.")] = 0,
    as_json: Json = False,
) -> None:
    """Tune models with an equal budget: same trials, search space and pruner; scored on validation images only.

    Writes RESULTS/tuning/tuned-<model>.toml and tuned.toml (all models) for bench run --recipe. The same command
    resumes, adds workers on other machines, and repeats the trials of workers that died.

    Example: bench tune --models unet,bsanet --trials 3 --datasets phantom --recipe smoke --workers 2
    """
    from benchmark.runtime.signals import exit_code
    from benchmark.tuning.plan import Asked

    request = make_request(models, data, training, seeds=[seed])
    typed = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", shlex.join(["bench", *sys.argv[1:]]))  # no password
    try:
        _tune(Asked(request, trials, space, storage, typed), workers, as_json)
    except KeyboardInterrupt as stop:
        tell("stopped by a signal: finished trials are kept; run the same command again to continue")
        raise typer.Exit(exit_code(stop)) from None


def _tune(asked: Asked, workers: int, as_json: bool) -> None:
    from benchmark.tuning.run import finished_trials, prepare
    from benchmark.tuning.run import tune as run_trials

    tuning = prepare(asked, (lambda _: None) if as_json else say)
    if not as_json:
        _print_plan(tuning, finished_trials(tuning))
    with events(as_json=as_json) as shown:
        done = run_trials(tuning, workers=workers, events=shown)
    _print_found(done, as_json)
    if not as_json:
        both = next(path for path in done.files if path.name == "tuned.toml")
        say(f"train with them: bench run --models {','.join(asked.request.models)} --recipe {both}")


def _print_plan(tuning: Tuning, done: list[int]) -> None:
    from benchmark.tuning.result import used_of

    asked, info = tuning.asked, tuning.images.info
    fields = ", ".join(tuning.space.search)
    base = tuning.targets[0].cell.recipe
    train, val = used_of(info.num_train, base.max_train_images), used_of(info.num_val, base.max_val_images)
    say(f"split      {info.name} (seed {info.seed}): {train} train, {val} validate")
    say(
        f"search     {fields} ({tuning.space.hash}), {asked.trials} trials per model, recipe {asked.request.recipe}",
    )
    for target, number in zip(tuning.targets, done, strict=True):
        kept = "" if target.cell.spec.takes_encoder or "encoder" not in tuning.space.search else "; the model's encoder"
        say(f"model      {target.cell.spec.title}: {number} of {asked.trials} trials are finished{kept}")
    if tuning.synthetic:
        say("note       synthetic images: the result says nothing about real polyps")


def _print_found(done: Tuned, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"model": one.target.cell.spec.name, "trials": one.trials, "score": round(one.score, 4), **one.fields}
        for one in done.found
    ]
    if as_json:
        models = [{**row, "trials_list": one.rows} for row, one in zip(rows, done.found, strict=True)]
        print_json({"models": models, "files": [str(path) for path in done.files]})
        return
    keys = dict.fromkeys(key for row in rows for key in row)
    print_rows([{key: row.get(key) for key in keys} for row in rows])
    print("\n".join(map(str, done.files)))
