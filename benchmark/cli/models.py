"""`bench evaluate`, `bench profile`, `bench protocols`, `bench models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import app, choice, integers, names
from benchmark.cli.options import CacheDir, DataRoot, Engine, Json, Overrides, Quiet, Results


@app.command()
def evaluate(
    predictions: Annotated[
        Path | None, typer.Option(help="Folder of maps, one per image, or nested by dataset.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "--datasets", help="Test sets, comma-separated.", autocompletion=complete.datasets),
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, for a set of your own.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the method in tables.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Network of a released checkpoint.", autocompletion=complete.models)
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Released checkpoint of --model.")] = None,
    recipe: Annotated[
        str, typer.Option(help="Test-time processing of the checkpoint.", autocompletion=complete.recipes)
    ] = "native",
    set_: Overrides = None,
    images: Annotated[
        str, typer.Option(help="pranet: the images of PraNet's test lists; all: every image.")
    ] = "pranet",
    protocol: Annotated[
        str, typer.Option(help="Protocol that is printed: name or FILE.toml.", autocompletion=complete.protocols)
    ] = "pranet",
    allow_partial: Annotated[bool, typer.Option("--allow-partial", help="Score what exists, print n of N.")] = False,
    boundary: Annotated[bool, typer.Option("--boundary", help="Also HD95 and surface Dice, 2 px (maps only).")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this JSON file.")] = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:<k>, mps (checkpoints only).")] = "auto",
    engine: Engine = "fast",
    quiet: Quiet = False,
) -> None:
    """Score maps that others made, or a released checkpoint; both become records in the same tables.

    Example: bench evaluate --predictions PraNet/Kvasir --dataset kvasir --name PraNet --json pranet.json
    """
    from benchmark.commands import score
    from benchmark.config import parse_overrides
    from benchmark.study.plan import Request

    request = Request(
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        data_root=data_root,
        results=results,
        cache_dir=cache_dir,
        protocol=protocol,
        engine=choice(engine, "--engine", ("fast", "reference")),
        device=device,
    )
    score.evaluate(
        request,
        predictions=predictions,
        datasets=names(dataset) if dataset else [],
        masks=masks,
        name=name,
        model=model,
        checkpoint=checkpoint,
        images=choice(images, "--images", ("pranet", "all")),
        allow_partial=allow_partial,
        boundary=boundary,
        json_file=json_file,
        quiet=quiet,
    )


@app.command()
def profile(
    models: Annotated[
        str, typer.Option(help="Names, comma-separated, or all.", autocompletion=complete.models)
    ] = "all",
    size: Annotated[int, typer.Option(help="Side of the square input, px.")] = 256,
    batches: Annotated[str, typer.Option(help="Batch sizes, comma-separated.")] = "1,16",
    repeats: Annotated[int, typer.Option(help="Timed forward passes, after two of warm-up.", min=1)] = 10,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:<k>.")] = "cpu",
    train: Annotated[
        str | None,
        typer.Option(
            help="Also time training steps, with this recipe's loss and precision.",
            autocompletion=complete.recipes,
        ),
    ] = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Measure parameters, multiply-adds, latency and peak memory; kept in RESULTS/profile.csv.

    With --train also training steps: bench estimate then takes these figures for the device, not an assumption.

    Example: bench profile --models all --size 256
    """
    from benchmark.commands import describe

    describe.profile(
        names(models),
        size=size,
        batches=integers(batches, "--batches"),
        repeats=repeats,
        device=device,
        train=train,
        results=results,
        as_json=as_json,
    )


@app.command()
def protocols(
    name: Annotated[
        str | None,
        typer.Argument(help="Only this one: name, or FILE.toml of your own.", autocompletion=complete.protocols),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain the scoring protocols in words.

    Example: bench protocols
    """
    from benchmark.commands import score

    score.protocols(name, as_json=as_json)


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="Build this model and describe it.", autocompletion=complete.models)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models, or describe one: parameters, options, parts that an ablation can drop.

    Example: bench models bsanet
    """
    from benchmark.commands import describe

    describe.models(name, as_json=as_json)
