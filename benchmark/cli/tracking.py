"""`bench track` and `bench ui`: the mirror in MLflow and its web page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchmark.cli.app import RESULTS, app, names
from benchmark.cli.options import CELL_HELP, Json, LogCheckpoints, Results
from benchmark.cli.printing import print_json, say, tell
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.store.layout import ResultsLayout


@app.command(rich_help_panel=RESULTS)
def track(
    results: Results = Path("results"),
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Write every run again.")] = False,
    log_checkpoints: LogCheckpoints = False,
    register: Annotated[str | None, typer.Option(help="Register the best checkpoint of --run under this name.")] = None,
    run: Annotated[str | None, typer.Option(help=CELL_HELP)] = None,
    model: Annotated[
        str | None, typer.Option(help="FILE.py:function, to register a network that came from a file.")
    ] = None,
    to: Annotated[
        Literal["mlflow", "tensorboard", "wandb"], typer.Option(help="Where to; the last two are extras.")
    ] = "mlflow",
    as_json: Json = False,
) -> None:
    """Bring MLflow up to date with the records: what it missed while the server was down, or everything.

    Writes to RESULTS/mlflow.db, or to the server in MLFLOW_TRACKING_URI. The records are authoritative: whatever is
    lost in MLflow is restored by --rebuild. A network from a file is registered with its file and what that imports.
    --to writes history, scores and settings to RESULTS/tensorboard, or through
    Weights & Biases (its own settings, such as WANDB_MODE=offline, say where to).

    Example: bench track --register polyp-unet --run unet/quick
    """
    from benchmark.store import io
    from benchmark.store.cells import find_record
    from benchmark.store.layout import ResultsLayout
    from benchmark.tracking.connect import place_of
    from benchmark.tracking.models import register as register_model
    from benchmark.tracking.page import explain, update_mirror

    if (register is None) != (run is None):
        raise BenchError("--register NAME and --run CELL go together: give the cell and the name to register")
    if model is not None and register is None:
        raise BenchError("--model FILE.py:function goes with --register NAME and --run CELL")
    layout = ResultsLayout(results)
    if to != "mlflow":
        if register is not None or log_checkpoints:
            raise BenchError(f"--to {to}: takes no checkpoints; --register and --log-checkpoints are for MLflow")
        _write_elsewhere(layout, to, rebuild=rebuild, as_json=as_json)
        return
    record = find_record(io.read_records(results), run) if run is not None else None
    if record is not None:
        from benchmark.prediction.network import spec_of_record

        spec_of_record(record, model)  # a mistake is found before anything is written
    mirror, counts = update_mirror(layout, rebuild=rebuild, checkpoints=log_checkpoints)
    facts: dict[str, object] = {"written": counts.written, "kept": counts.kept, "where": place_of(layout).shown}
    if record is not None and register is not None:
        with explain(layout):
            facts |= {"model": register, "version": register_model(mirror, record, register, model=model)}
    if as_json:
        print_json(facts)
        return
    print(f"{counts.written} runs written, {counts.kept} already up to date: {facts['where']}")
    if "version" in facts:
        print(f"registered models:/{register}/{facts['version']}")


def _write_elsewhere(
    layout: ResultsLayout, place: Literal["tensorboard", "wandb"], *, rebuild: bool, as_json: bool
) -> None:
    from benchmark.store import io
    from benchmark.tracking.elsewhere import write_elsewhere

    counts = write_elsewhere(layout, io.read_records(layout.root), place, rebuild=rebuild)
    where = str(layout.root / place)
    if as_json:
        print_json({"written": counts.written, "kept": counts.kept, "where": where})
    else:
        print(f"{counts.written} runs written, {counts.kept} already up to date: {where}")


@app.command(rich_help_panel=RESULTS)
def ui(
    results: Results = Path("results"),
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1: this machine only.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; 5000 if unset, or a free one.", min=1, max=65535)] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    compare: Annotated[str | None, typer.Option(help="Open the comparison of these models, or all.")] = None,
) -> None:
    """Compare runs in the browser: MLflow's page on the records of RESULTS. Ctrl-C stops it.

    Example: bench ui --compare all
    """
    raise typer.Exit(serve(results, host=host, port=port, open_page=open_, compare=names(compare) if compare else None))


def serve(results: Path, *, host: str, port: int | None, open_page: bool, compare: Sequence[str] | None) -> int:
    """Update, start the server, print the address, wait for Ctrl-C or SIGTERM; an external server is only opened."""
    from benchmark.store import io
    from benchmark.store.layout import ResultsLayout
    from benchmark.tracking.connect import place_of
    from benchmark.tracking.page import choose_runs, run_ids, stoppable, update_mirror
    from benchmark.tracking.server import is_loopback, serving

    layout, records = ResultsLayout(results), io.read_records(results)
    if not records:
        raise BenchError(f"results folder {results}: no records yet; run 'bench run' first or pass --results")
    chosen = choose_runs(records, compare)
    say("bringing MLflow up to date with the records")
    mirror, counts = update_mirror(layout)
    ids = run_ids(mirror, layout, chosen)
    say(f"{counts.written} runs written, {counts.kept} already up to date")
    if place_of(layout).is_server:
        _show(place_of(layout).uri, mirror.experiment_id, ids, open_page)
        return 0
    if not is_loopback(host):
        tell(f"warning: MLflow has no login: anyone who can reach {host} can read, change and delete these runs")
    with stoppable(), serving(layout, host=host, port=port) as server:
        _show(server.url, mirror.experiment_id, ids, open_page)
        say("Ctrl-C stops it")
        code = server.process.wait()
    tell(f"MLflow's server exited unexpectedly (exit code {code})")
    return 1


def _show(server: str, experiment_id: str, ids: Sequence[str], open_page: bool) -> None:
    import webbrowser

    from benchmark.tracking.view import compare_url, study_url

    url = compare_url(server, experiment_id, ids) if ids else study_url(server, experiment_id)
    print(url, flush=True)
    if open_page and not webbrowser.open(url):
        say("no browser found: open the address yourself")
