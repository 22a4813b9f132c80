"""`bench ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import TRAIN, app, names
from benchmark.cli.options import CacheDir, DataRoot, Device, Engine, Json, Results
from benchmark.cli.printing import events, print_json


@app.command(rich_help_panel=TRAIN)
def ensemble(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="CELL...", help="Cells below RESULTS/runs; the beginning unet/quick takes all that fit."
        ),
    ],
    flips: Annotated[str, typer.Option(help="Predict flipped images, too: hflip, vflip, hvflip.")] = "",
    datasets: Annotated[
        str | None,
        typer.Option("--datasets", help="Only these test sets.", autocompletion=complete.datasets),
    ] = None,
    from_weights: Annotated[
        bool, typer.Option("--from-weights", help="Predict again, and average before anything is rounded.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name in tables; made of the cells' if unset.")] = None,
    model: Annotated[str | None, typer.Option(help="FILE.py:function of cells whose network came from a file.")] = None,
    protocol: Annotated[
        str, typer.Option(help="Protocol that is printed: name or FILE.toml.", autocompletion=complete.protocols)
    ] = "pranet",
    data_root: DataRoot = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = None,
    device: Device = "auto",
    engine: Engine = "fast",
    as_json: Json = False,
) -> None:
    """Average the maps of finished cells (seeds, folds, models) and score the mean as a cell of its own.

    Without options the 8-bit maps that the cells kept are averaged; --flips and --from-weights predict with best.pt.

    Example: bench ensemble unet/quick --flips hflip,vflip
    """
    from benchmark.scoring.ensemble import make_ensemble
    from benchmark.scoring.evaluate import figures_of
    from benchmark.study.plan import Request

    request = Request(
        data_root=data_root, results=results, cache_dir=cache_dir, protocol=protocol, engine=engine, device=device
    )
    printed = request.printed.name
    with events(as_json=as_json) as shown:
        record = make_ensemble(
            runs,
            request=request,
            datasets=names(datasets) if datasets else (),
            flips=names(flips),
            from_weights=from_weights,
            name=name,
            model=model,
            events=shown,
        )
    rows = [figures_of(record, one, printed) for one in record.tests]
    if as_json:
        print_json({"cell": record.cell, "origin": record.origin, "sets": rows})
        return
    print(f"{record.model_title}: {record.origin}\n{record.cell}")
    for row in rows:
        numbers = "  ".join(f"{key} {value:.4f}" for key, value in row["metrics"].items())
        print(f"{row['dataset']} ({row['n']} images, {row['protocol']} {row['protocol_hash']}): {numbers}")
