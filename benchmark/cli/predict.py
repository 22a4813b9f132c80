"""`bench predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import app, choice, names
from benchmark.cli.options import Device, Json, Quiet, Results


@app.command()
def predict(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images, folders, videos.")],
    run: Annotated[
        str | None, typer.Option(help="Folder with run.json, or a cell below RESULTS/runs, or a part that fits one.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Network of --checkpoint; FILE.py:function of --run.", autocompletion=complete.models),
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights of --model.")] = None,
    recipe: Annotated[
        str, typer.Option(help="Size and test-time processing of the checkpoint.", autocompletion=complete.recipes)
    ] = "native",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a field of it: key=value.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the outputs.")] = Path("predictions"),
    save: Annotated[str, typer.Option(help="What to write beside the CSV.")] = "masks,probs,overlays",
    threshold: Annotated[float, typer.Option(help="Polyp where the probability is above.", min=0, max=1)] = 0.5,
    batch: Annotated[int | None, typer.Option(help="Images at once; the recipe's if unset.", min=1)] = None,
    results: Results = Path("results"),
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict images and videos: masks, probability maps and overlays at their own size, and a CSV of areas.

    A cell is predicted with its own recipe and test-time processing, as when it was scored. Videos keep frame rate and
    frame count (extra: polyp-bench[video]).

    Example: bench predict --run unet/quick --out predictions examination.mp4 photos/
    """
    from benchmark.commands import predicted
    from benchmark.config import parse_overrides
    from benchmark.prediction.outputs import KINDS

    code = predicted.predict(
        inputs,
        run=run,
        model=model,
        checkpoint=checkpoint,
        recipe=recipe,
        overrides=parse_overrides(set_ or []),
        results=results,
        out=out,
        kinds=[choice(one, "--save", KINDS) for one in names(save)],  # type: ignore[misc]
        threshold=threshold,
        batch=batch,
        device=device,
        as_json=as_json,
        quiet=quiet or as_json,
    )
    raise typer.Exit(code)
