"""`bench estimate`, `bench run --estimate`, `bench ablate --estimate`: what a plan costs; nothing is trained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.commands.printing import print_json, print_tables, say
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.costs.formula import Work
    from benchmark.costs.networks import Network
    from benchmark.costs.plan_cost import Estimate, Options
    from benchmark.report.sheets.sheet import Sheet
    from benchmark.study.plan import Request


def show(
    request: Request,
    options: Options | None = None,
    *,
    ablate: str | None = None,
    drop: Sequence[str] = (),
    factorial: bool = False,
    only_ablation: bool = False,
    as_json: bool,
    markdown: bool = False,
    quiet: bool,
) -> None:
    """Compute and print the cost of a plan.

    Args:
        request: Models, data, recipe, seeds, device to measure.
        options: Devices, assumptions, growth; None for the packaged ones.
        ablate: Model whose variants are trained beside.
        drop, factorial: As for ``bench ablate``.
        only_ablation: The plan is that ablation alone.
        as_json: One JSON document instead of tables.
        markdown: Markdown even on a terminal; elsewhere it is what is printed.
        quiet: No progress.
    """
    from benchmark.costs import plan_cost as costs
    from benchmark.costs.sheets import sheets
    from benchmark.display.progress import watch

    console = Console(stderr=True)
    more = costs.ablation_cells(request, ablate, drop, factorial=factorial) if ablate else []
    if only_ablation:
        if len(request.models) != 1:
            raise BenchError(f"--model {','.join(request.models)}: an ablation takes one model, for example bsanet")
        request = replace(request, ablations=tuple(dict.fromkeys(cell.ablation for cell in more)))
    with watch(console, quiet=quiet) as watcher:
        found = costs.estimate(request, options or costs.Options(), more=more, progress=partial(watcher.phase))
    if as_json:
        print_json(as_payload(found))
        return
    made = sheets(found)
    if markdown or not sys.stdout.isatty():
        print_tables(made, "markdown")
    else:
        for sheet in made:
            print_rich(sheet)
    if not quiet:
        say(console, "nothing was trained; 'bench estimate --help' says how to give your own devices and assumptions")


def print_rich(sheet: Sheet) -> None:
    """Print a sheet as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(sheet.caption), title_justify="left", title_style="", caption_justify="left", caption_style="dim"
    )
    for column in sheet.columns:
        table.add_column(column.plain, justify={"l": "left", "c": "center", "r": "right"}[column.align])  # type: ignore[arg-type]
    for row in sheet.rows:
        table.add_row(*(Text(cell.text) for cell in row))
    table.caption = Text("\n".join(f"- {note}" for note in sheet.notes))
    Console().print(table)


def as_payload(found: Estimate) -> dict[str, Any]:
    """Return an estimate as plain values for ``--json``; pairs are least and most."""
    from benchmark.costs.words import FORMULA

    size, grown = found.size, found.grown
    return {
        "formula": FORMULA,
        "num_cells": found.num_cells,
        "seeds": list(found.request.seeds),
        "recipes": [recipe.model_dump(mode="json") for recipe in found.recipes],
        "images": asdict(found.images),
        "conditions": asdict(found.conditions),
        "host_s_per_image": asdict(found.host),
        "networks": [_network(network, work) for network, work in zip(found.networks, found.works, strict=True)],
        "devices": [asdict(device) for device in found.devices],
        "disk_bytes": {"maps": size.map_bytes, "records": size.record_bytes, "weights": size.weight_bytes},
        "growth": {
            "models": grown.models,
            "sets": grown.sets,
            "num_cells": grown.cells,
            "images": grown.images,
            "hours": [
                {"title": device.title, "hours": hours}
                for device, hours in zip(found.devices, found.grown_hours, strict=True)
            ],
            "disk_bytes": {"maps": grown.map_bytes, "records": grown.record_bytes, "weights": grown.weight_bytes},
            "image_pairs": {"now": size.image_pairs, "grown": grown.image_pairs},
            "model_pairs": {"now": size.model_pairs, "grown": grown.model_pairs},
        },
        "failed": found.failed,
    }


def _network(network: Network, work: Work) -> dict[str, Any]:
    return {
        "model": network.cell.spec.name,
        "ablation": list(network.cell.ablation),
        "num_cells": network.num_cells,
        "num_params": network.num_params,
        "forward_gmacs": network.forward_gmacs,
        "step_gmacs": network.step_gmacs,
        "images_per_s_training": 1 / network.step_s,
        "images_per_s_forward": 1 / network.forward_s,
        "kept_mb_per_image": network.kept_mb,
        "memory_mb": network.memory_mb,
        "timed_batch": network.batch,
        "peak_mb": network.peak_mb,
        "work": asdict(work),
    }
