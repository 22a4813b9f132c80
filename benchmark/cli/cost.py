"""`bench estimate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import app, integers, names
from benchmark.cli.options import (
    AllowMissing,
    CacheDir,
    DataRoot,
    Datasets,
    Device,
    Json,
    Models,
    Overrides,
    Quiet,
    Recipe,
    Results,
    Seeds,
    Split,
    SplitSeed,
)


@app.command()
def estimate(
    models: Models = "all",
    ablate: Annotated[
        str | None, typer.Option(help="Also the variants of this model's ablation.", autocompletion=complete.models)
    ] = None,
    drop: Annotated[str | None, typer.Option(help="Parts that --ablate drops; all that it declares if unset.")] = None,
    factorial: Annotated[bool, typer.Option("--factorial", help="With --ablate: every subset of the parts.")] = False,
    datasets: Datasets = "polyp",
    split: Split = "paper",
    split_seed: SplitSeed = 0,
    recipe: Recipe = "paper",
    seeds: Seeds = "0",
    set_: Overrides = None,
    gpus: Annotated[str, typer.Option(help="Numbers of devices, comma-separated.")] = "1,8,32",
    utilisation: Annotated[
        str | None, typer.Option(help="LOW,HIGH: share of a device's peak that training sustains, for all devices.")
    ] = None,
    hardware: Annotated[
        Path | None, typer.Option(help="TOML with devices of your own, as benchmark/costs/hardware.toml.")
    ] = None,
    grow: Annotated[str, typer.Option(help="MODELSxSETSxSEEDS to extrapolate to.")] = "100x5x3",
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    allow_missing: AllowMissing = False,
    device: Device = "cpu",
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown on a terminal too.")] = False,
    quiet: Quiet = False,
) -> None:
    """Compute what a plan costs: hours on devices that are not at hand, memory, disk, growth. Nothing is trained.

    Each network is counted and timed on this machine. GPUs come from published peaks and an assumed utilisation,
    unless RESULTS/profile.csv holds training steps measured on them (bench profile --train on the device). Datasets
    that are not on disk count with their published size.

    Example: bench estimate --models all --ablate bsanet --datasets polyp --recipe paper --seeds 0,1,2
    """
    from benchmark.commands import cost
    from benchmark.config import parse_overrides
    from benchmark.costs.plan_cost import Options
    from benchmark.study.plan import Request

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
        allow_missing=allow_missing,
        device=device,
    )
    cost.show(
        request,
        Options(integers(gpus, "--gpus"), utilisation, hardware, grow),
        ablate=ablate,
        drop=names(drop) if drop else [],
        factorial=factorial,
        as_json=as_json,
        markdown=markdown,
        quiet=quiet or as_json,
    )
