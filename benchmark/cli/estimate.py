"""`bench estimate`, and `--estimate` of `bench run` and `bench ablate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import TRAIN, app, integers, names
from benchmark.cli.options import DataOptions, Device, Json, Models, Seeds, expanded, make_request
from benchmark.cli.printing import events, print_json, print_rich, print_tables, say

if TYPE_CHECKING:
    from benchmark.costs.plan_cost import Options
    from benchmark.study.plan import Request


@app.command(rich_help_panel=TRAIN)
@expanded
def estimate(
    data: DataOptions,
    models: Models = "all",
    ablate: Annotated[
        str | None, typer.Option(help="Also estimate the ablation of this model.", autocompletion=complete.models)
    ] = None,
    drop: Annotated[str | None, typer.Option(help="Parts that --ablate drops; all of the model's if unset.")] = None,
    factorial: Annotated[bool, typer.Option("--factorial", help="With --ablate: every subset of the parts.")] = False,
    seeds: Seeds = "0",
    gpus: Annotated[str, typer.Option(help="Numbers of devices, comma-separated.")] = "1,8,32",
    utilisation: Annotated[
        str | None, typer.Option(help="LOW,HIGH: share of a device's peak that training sustains, for all devices.")
    ] = None,
    hardware: Annotated[
        Path | None,
        typer.Option(help="TOML file of devices, as benchmark/costs/hardware.toml, or the JSON of a device check."),
    ] = None,
    grow: Annotated[str, typer.Option(help="MODELSxSETSxSEEDS to extrapolate to.")] = "100x5x3",
    device: Device = "cpu",
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown even on a terminal.")] = False,
) -> None:
    """Estimate the cost of a plan without training: hours on other devices, memory, disk, growth.

    Each network is counted and timed on this machine. GPU times follow from published peaks and an assumed utilisation,
    unless RESULTS/profile.csv holds training steps measured on the device (bench profile --train). Datasets
    that are not on disk count with their published sizes.

    Example: bench estimate --models all --ablate bsanet --datasets polyp --recipe paper --seeds 0,1,2
    """
    from benchmark.costs.plan_cost import Options

    request = make_request(models, data, seeds=integers(seeds, "--seeds"), device=device)
    show_cost(
        request,
        Options(integers(gpus, "--gpus"), utilisation, hardware, grow),
        ablate=ablate,
        drop=names(drop) if drop else [],
        factorial=factorial,
        as_json=as_json,
        markdown=markdown,
    )


def show_cost(
    request: Request,
    options: Options | None = None,
    *,
    ablate: str | None = None,
    drop: Sequence[str] = (),
    factorial: bool = False,
    only_ablation: bool = False,
    as_json: bool,
    markdown: bool = False,
) -> None:
    """Print the cost of a plan.

    Args:
        request: Models, data, recipe, seeds, device to measure.
        options: Devices, assumptions, growth; None for the packaged ones.
        ablate: Model whose variants are trained too.
        drop: Parts that they leave out; all that the model declares if empty.
        factorial: Every subset of the parts.
        only_ablation: The plan is that ablation alone.
        as_json: One JSON document instead of tables.
        markdown: Markdown even on a terminal; elsewhere it is what is printed.
    """
    from benchmark.costs import plan_cost as costs
    from benchmark.costs.as_json import as_payload
    from benchmark.costs.sheets import sheets

    more = costs.ablation_cells(request, ablate, drop, factorial=factorial) if ablate else []
    if only_ablation:
        request = replace(request, ablations=tuple(dict.fromkeys(cell.ablation for cell in more)))
    with events(as_json=as_json) as shown:
        found = costs.estimate(request, options or costs.Options(), more=more, progress=shown.phase)
    if as_json:
        print_json(as_payload(found))
        return
    made = sheets(found)
    if markdown or not sys.stdout.isatty():
        print_tables(made, "markdown")
    else:
        for sheet in made:
            print_rich(sheet)
    say("nothing was trained; 'bench estimate --help' explains how to set devices and assumptions")
