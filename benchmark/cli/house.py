"""`bench doctor`, `bench clean`, `bench export`, `bench init`, `bench measure`: the house around a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import app, names
from benchmark.cli.options import CacheDir, DataRoot, Json, Quiet, Results


@app.command()
def doctor(
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    weights: Annotated[bool, typer.Option(help="Build each model from its ImageNet weights, without network.")] = True,
    as_json: Json = False,
) -> None:
    """Say what is here and what is missing: versions, devices, datasets, ImageNet weights, space, tools.

    Each missing thing comes with how to get it. Exit code 1 where something is broken that every study needs.

    Example: bench doctor --data-root ~/datasets
    """
    from benchmark.commands import house

    raise typer.Exit(house.doctor(data_root, results, cache_dir, weights=weights, as_json=as_json))


@app.command()
def clean(
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    only: Annotated[
        str | None, typer.Option(help="Only these kinds: unfinished, failed, locks, leftovers, outdated, caches.")
    ] = None,
    cell: Annotated[
        list[str] | None, typer.Option(help="Also this cell, whatever its status: its path below RESULTS/runs.")
    ] = None,
    older_than: Annotated[str, typer.Option(help="Only what was last written so long ago: 12h, 7d, 0.")] = "0",
    caches: Annotated[
        bool, typer.Option("--caches", help="Also pixels, plans and phantom; made again on use.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it is only shown.")] = False,
    as_json: Json = False,
) -> None:
    """Show what can go, and with --yes remove it: unfinished trainings, failed cells, locks, leftovers, old caches.

    A cell that another process holds is left alone. A record with status ok goes only where --cell names it.

    Example: bench clean --older-than 7d
    """
    from benchmark.commands import house

    house.clean(
        results,
        cache_dir,
        kinds=names(only) if only else None,
        cells=cell or [],
        older_than=older_than,
        caches=caches,
        yes=yes,
        as_json=as_json,
    )


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder of the export; it must not hold records yet.")],
    results: Results = Path("results"),
    protocols: Annotated[str | None, typer.Option(help="Keep these scoring protocols only, comma-separated.")] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="Scores of single images and curves in single precision.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy a study's records without images, maps, weights and the machine's name, to publish beside a paper.

    `bench tables`, `plots`, `compare` and `report` work on the copy alone; only what draws maps (`plots qualitative`,
    `measure`) does not.

    Example: bench export --out supplement --protocols pranet,half
    """
    from benchmark.commands import house

    house.export(results, out, protocols=names(protocols) if protocols else None, compact=compact, as_json=as_json)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the model; the file is called after it.")],
    out: Annotated[Path, typer.Option(help="Folder for the file.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a documented model file of ten lines that trains at once.

    Example: bench init my-model
    """
    from benchmark.commands import house

    house.init(name, out, as_json=as_json)


@app.command()
def measure(
    metric: Annotated[str, typer.Argument(help="FILE.py:function of a map (H, W) uint8 and a mask (H, W) bool.")],
    results: Results = Path("results"),
    models: Annotated[str | None, typer.Option(help="Only these models.", autocompletion=complete.models)] = None,
    datasets: Annotated[
        str | None, typer.Option(help="Only these test sets or groups.", autocompletion=complete.datasets)
    ] = None,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute a metric of your own on the maps that finished cells keep, per image and on average; nothing is trained.

    The values are kept beside each cell's scores, in metrics/NAME-HASH.parquet, where HASH is of the file's text.

    Example: bench measure ./my_metric.py:area_error --datasets phantom
    """
    from benchmark.commands import house

    house.measure(
        metric,
        results,
        models=names(models) if models else None,
        datasets=names(datasets) if datasets else None,
        data_root=data_root,
        cache_dir=cache_dir,
        as_json=as_json,
        quiet=quiet,
    )
