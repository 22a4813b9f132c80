"""`bench track` and `bench ui`: the mirror in MLflow and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import app, names
from benchmark.cli.options import Json, LogCheckpoints, Results


@app.command()
def track(
    results: Results = Path("results"),
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Write every run anew.")] = False,
    log_checkpoints: LogCheckpoints = False,
    register: Annotated[str | None, typer.Option(help="Register the best checkpoint of --run under this name.")] = None,
    run: Annotated[str | None, typer.Option(help="Cell, as below RESULTS/runs, or a part of it that fits one.")] = None,
    as_json: Json = False,
) -> None:
    """Bring MLflow up to date with the records: what a server missed that was away, or everything.

    Writes to RESULTS/mlflow.db, or to the server that MLFLOW_TRACKING_URI names. The records are the truth: whatever is
    lost in MLflow comes back with --rebuild.

    Example: bench track --register polyp-unet --run unet/quick
    """
    from benchmark.commands import mlflow_ui

    mlflow_ui.track(results, rebuild=rebuild, checkpoints=log_checkpoints, register=register, run=run, as_json=as_json)


@app.command()
def ui(
    results: Results = Path("results"),
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 is this machine alone.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; 5000 if unset, or a free one.", min=1, max=65535)] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    compare: Annotated[str | None, typer.Option(help="Models to compare at once, or all.")] = None,
) -> None:
    """Compare runs in the browser: MLflow's page on the records of RESULTS. Ctrl-C ends it.

    Example: bench ui --compare all
    """
    from benchmark.commands import mlflow_ui

    code = mlflow_ui.serve(results, host=host, port=port, open_page=open_, compare=names(compare) if compare else None)
    raise typer.Exit(code)
