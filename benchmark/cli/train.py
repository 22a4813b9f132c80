"""`bench run` and `bench ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import app, choice, integers, names
from benchmark.cli.options import (
    AllowMissing,
    CacheDir,
    CheckpointEvery,
    DataRoot,
    Datasets,
    Deterministic,
    Device,
    Devices,
    Engine,
    Executor,
    ExecutorOptions,
    IfExists,
    Json,
    LogCheckpoints,
    Models,
    Overrides,
    Quiet,
    Recipe,
    Results,
    Seeds,
    ShowCost,
    Split,
    SplitSeed,
    TimeFirst,
    Track,
    WeightsDir,
    Workers,
)


@app.command()
def run(
    models: Models = "all",
    datasets: Datasets = "polyp",
    split: Split = "paper",
    split_seed: SplitSeed = 0,
    recipe: Recipe = "paper",
    seeds: Seeds = "0",
    set_: Overrides = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    if_exists: IfExists = "resume",
    checkpoint_every: CheckpointEvery = 60.0,
    allow_missing: AllowMissing = False,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    devices: Devices = 1,
    deterministic: Deterministic = False,
    executor: Executor = "local",
    workers: Workers = None,
    executor_option: ExecutorOptions = None,
    protocol: Annotated[
        str,
        typer.Option(help="Protocol of the printed tables: name, or FILE.toml.", autocompletion=complete.protocols),
    ] = "pranet",
    engine: Engine = "fast",
    track: Track = True,
    log_checkpoints: LogCheckpoints = False,
    estimate: ShowCost = False,
    time_first: TimeFirst = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train and score models on the same set-up, then print the tables.

    Finished cells are kept; unfinished ones continue from their last checkpoint (--if-exists resume), start again
    (skip), or everything is trained anew (overwrite).

    Example: bench run --models all --datasets phantom --recipe smoke
    """
    from benchmark.commands import cost, study
    from benchmark.config import parse_overrides
    from benchmark.execution.placement import place
    from benchmark.study.plan import Request

    placement = place(executor, workers, executor_option or [])
    request = Request(
        models=names(models),
        datasets=names(datasets),
        split=split,
        split_seed=split_seed,
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        seeds=integers(seeds, "--seeds"),
        data_root=data_root,
        results=results,
        cache_dir=cache_dir,
        protocol=protocol,
        engine=choice(engine, "--engine", ("fast", "reference")),
        if_exists=choice(if_exists, "--if-exists", ("skip", "resume", "overwrite")),  # type: ignore[arg-type]
        checkpoint_every_s=checkpoint_every,
        allow_missing=allow_missing,
        device=device,
        deterministic=deterministic,
        devices=devices,
        weights_dir=weights_dir,
    )
    if estimate:
        cost.show(request, as_json=as_json, quiet=quiet or as_json)
        return
    code = study.run(
        request,
        placement=placement,
        track=track,
        checkpoints=log_checkpoints,
        time_first=time_first,
        dry_run=dry_run,
        as_json=as_json,
        quiet=quiet or as_json,
    )
    raise typer.Exit(code)


@app.command()
def ablate(
    model: Annotated[
        str, typer.Option(help="The model whose parts are dropped.", autocompletion=complete.models)
    ] = "bsanet",
    drop: Annotated[str | None, typer.Option(help="Parts, comma-separated; all that it declares if unset.")] = None,
    factorial: Annotated[bool, typer.Option("--factorial", help="Every subset of the parts.")] = False,
    datasets: Datasets = "polyp",
    split: Split = "paper",
    split_seed: SplitSeed = 0,
    recipe: Recipe = "paper",
    seeds: Seeds = "0",
    set_: Overrides = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    if_exists: IfExists = "resume",
    checkpoint_every: CheckpointEvery = 60.0,
    allow_missing: AllowMissing = False,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    devices: Devices = 1,
    deterministic: Deterministic = False,
    executor: Executor = "local",
    workers: Workers = None,
    executor_option: ExecutorOptions = None,
    engine: Engine = "fast",
    track: Track = True,
    log_checkpoints: LogCheckpoints = False,
    estimate: ShowCost = False,
    time_first: TimeFirst = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model whole, without each part and without all of them, on the same seeds and batches; compare in pairs.

    Before training it proves that each switch changes the network, else it stops. Writes a table (Markdown, LaTeX, CSV)
    and a forest plot of the differences.

    Example: bench ablate --model bsanet --drop isam,fsam,rendering --datasets phantom --recipe smoke
    """
    from benchmark.commands import cost, study
    from benchmark.config import parse_overrides
    from benchmark.execution.placement import place
    from benchmark.study.plan import Request

    placement = place(executor, workers, executor_option or [])
    request = Request(
        models=[model],
        datasets=names(datasets),
        split=split,
        split_seed=split_seed,
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        seeds=integers(seeds, "--seeds"),
        data_root=data_root,
        results=results,
        cache_dir=cache_dir,
        engine=choice(engine, "--engine", ("fast", "reference")),
        if_exists=choice(if_exists, "--if-exists", ("skip", "resume", "overwrite")),  # type: ignore[arg-type]
        checkpoint_every_s=checkpoint_every,
        allow_missing=allow_missing,
        device=device,
        deterministic=deterministic,
        devices=devices,
        weights_dir=weights_dir,
    )
    parts = names(drop) if drop else []
    if estimate:
        cost.show(
            request,
            ablate=model,
            drop=parts,
            factorial=factorial,
            only_ablation=True,
            as_json=as_json,
            quiet=quiet or as_json,
        )
        return
    code = study.ablate(
        request,
        drop=parts,
        factorial=factorial,
        placement=placement,
        track=track,
        checkpoints=log_checkpoints,
        time_first=time_first,
        as_json=as_json,
        quiet=quiet or as_json,
    )
    raise typer.Exit(code)
