"""`bench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import app
from benchmark.cli.options import Json, Results


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Before: a results folder, FOLDER@COMMIT, or @COMMIT in --results.")],
    b: Annotated[str, typer.Argument(help="After: the same.")],
    results: Results = Path("results"),
    protocol: Annotated[str, typer.Option(help="Scoring protocol of the numbers.")] = "pranet",
    recipe: Annotated[str | None, typer.Option(help="Only this recipe.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    top: Annotated[int, typer.Option(help="Images to name per model and test set.")] = 10,
    as_json: Json = False,
) -> None:
    """Say what changed between two sets of results: configuration, numbers with paired intervals, images.

    Example: bench compare results-before results
    """
    from benchmark.commands import compare as command

    command.compare(a, b, results=results, protocol=protocol, recipe=recipe, split=split, top=top, as_json=as_json)
