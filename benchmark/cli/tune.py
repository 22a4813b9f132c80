"""`bench tune`."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import app, names
from benchmark.cli.options import (
    CacheDir,
    DataRoot,
    Datasets,
    Deterministic,
    Device,
    Json,
    Models,
    Overrides,
    Quiet,
    Results,
    SplitSeed,
    WeightsDir,
)


@app.command()
def tune(
    models: Models = "all",
    trials: Annotated[int, typer.Option(help="Trials per model, finished or stopped early; the same for all.")] = 20,
    space: Annotated[Path | None, typer.Option(help="Search space (TOML); the packaged one if unset.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="Journal file, or URL of a database that other machines share (sqlite, postgresql)."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine.", min=1)] = 1,
    datasets: Datasets = "polyp",
    split: Annotated[
        str,
        typer.Option(
            help="Who trains, who validates: paper, grouped, pranet, or FILE.json.", autocompletion=complete.splits
        ),
    ] = "paper",
    split_seed: SplitSeed = 0,
    recipe: Annotated[
        str, typer.Option(help="Base recipe: what is not searched.", autocompletion=complete.recipes)
    ] = "paper",
    set_: Overrides = None,
    seed: Annotated[int, typer.Option(help="Decides the draws and the trainings of all trials.")] = 0,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    checkpoint_every: Annotated[
        float, typer.Option(help="Seconds between two checkpoints of an unfinished trial.", min=0)
    ] = 60.0,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Tune without absent datasets.")] = False,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    deterministic: Deterministic = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tune models with an equal budget: the same trials, search space and pruner; judged by validation images only.

    Writes RESULTS/tuning/tuned-<model>.toml and tuned.toml (all models) for bench run --recipe. The same command goes
    on where it was stopped, joins workers on other machines, and redoes the trials of workers that died.

    Example: bench tune --models unet,bsanet --trials 3 --datasets phantom --recipe smoke --workers 2
    """
    from benchmark.commands import tune as command
    from benchmark.config import parse_overrides
    from benchmark.study.plan import Request
    from benchmark.tuning.plan import Asked

    request = Request(
        models=names(models),
        datasets=names(datasets),
        split=split,
        split_seed=split_seed,
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        seeds=[seed],
        data_root=data_root,
        results=results,
        cache_dir=cache_dir,
        checkpoint_every_s=checkpoint_every,
        allow_missing=allow_missing,
        device=device,
        deterministic=deterministic,
        weights_dir=weights_dir,
    )
    typed = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", shlex.join(["bench", *sys.argv[1:]]))  # no password
    asked = Asked(request, trials, space, storage, typed)
    raise typer.Exit(command.tune(asked, workers=workers, as_json=as_json, quiet=quiet or as_json))
