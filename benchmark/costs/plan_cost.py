"""From a plan to its cost: counts, measurements of this machine, published peaks, the formula."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.config import Recipe
from benchmark.costs.devices import DeviceCost, on_device, other_measured, parse_counts, this_machine
from benchmark.costs.formula import Host, Work, cell_work
from benchmark.costs.growth import Size, grown_hours, parse_growth
from benchmark.costs.hardware import load_devices, measured_rows
from benchmark.costs.host import measure_host
from benchmark.costs.images import Images, count_images
from benchmark.costs.networks import Network, mean_over_cells, measure_networks
from benchmark.report.tables.efficiency import read_profile
from benchmark.runtime import environment as env
from benchmark.runtime.device import make_fabric
from benchmark.store.layout import ResultsLayout
from benchmark.study.cells import Cell
from benchmark.study.plan import Request, name_cells, resolve_models


@dataclass(frozen=True)
class Options:
    """Options of an estimate besides the plan.

    Attributes:
        counts: Numbers of devices that cells are spread over.
        utilisation: ``LOW,HIGH``; None for the assumed shares of ``hardware.toml``.
        hardware: TOML with further devices, or a device check's JSON.
        grow: ``MODELSxSETSxSEEDS``.
    """

    counts: Sequence[int] = (1, 8, 32)
    utilisation: str | None = None
    hardware: Path | None = None
    grow: str = "100x5x3"


@dataclass(frozen=True)
class Conditions:
    """Machine and load under which the figures were measured."""

    device: str
    device_name: str
    num_threads: int
    num_cores: int
    load: float | None
    torch: str
    commit: str | None


@dataclass(frozen=True)
class Estimate:
    """The cost of a plan; every list follows the order of ``networks``, and every pair is lower and upper bound."""

    request: Request
    recipes: list[Recipe]
    images: Images
    networks: list[Network]
    works: list[Work]
    host: Host
    conditions: Conditions
    devices: list[DeviceCost]
    counts: list[int]
    size: Size
    grown: Size
    grown_hours: list[dict[int, tuple[float, float]]]
    failed: list[str]

    @property
    def num_cells(self) -> int:
        """Trainings in all."""
        return sum(network.num_cells for network in self.networks)


def estimate(
    request: Request,
    options: Options,
    *,
    more: Sequence[Cell] = (),
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Estimate:
    """Compute what a plan costs; nothing is trained and nothing is written to the results folder.

    Args:
        request: The plan: models, variants, data, recipe, seeds; its device is the one that is measured.
        options: Devices, assumptions, growth.
        more: Further cells, such as the variants of an ablation beside the models of a run.
        progress: Called with a phase, the number done and the total.
    Raises:
        BenchError: A user error, raised before anything is timed.
    """
    counts, growth = parse_counts(options.counts), parse_growth(options.grow)
    known = load_devices(options.hardware, utilisation=options.utilisation)
    profile = [*read_profile(ResultsLayout(request.results).profile), *measured_rows(options.hardware)]
    cells = [*name_cells(request, resolve_models(request), None), *more]
    _ = request.printed
    images = count_images(request)
    fabric = make_fabric(request.device, cells[0].recipe)  # refused here if it does not exist
    networks, failed = measure_networks(
        cells, device=request.device, progress=lambda done, total: progress("measure networks", done, total)
    )
    host = measure_host(request, networks[0].cell.recipe, map_px=images.map_px)
    works = [cell_work(n.cell.recipe, train=images.train, val=images.val, tests=images.tests) for n in networks]
    here = _conditions(str(fabric.device))
    devices = [this_machine(networks, works, host, name=_here(here))]
    devices += [
        on_device(device, networks, works, host, counts=counts, profile=profile, here=here.device_name)
        for device in known.values()
    ]
    devices += other_measured(profile, list(known.values()), networks, works, host, counts=counts, but=here.device_name)
    size = _size(networks, works, images)
    grown = size.grown(*growth)
    means = [tuple(mean_over_cells(networks, [pair[k] for pair in one.cell_s]) for k in (0, 1)) for one in devices]
    return Estimate(
        request=request,
        recipes=list({network.cell.recipe.hash: network.cell.recipe for network in networks}.values()),
        images=images,
        networks=networks,
        works=works,
        host=host,
        conditions=here,
        devices=devices,
        counts=counts,
        size=size,
        grown=grown,
        grown_hours=[
            grown_hours((mean[0], mean[1]), size, grown, list(one.hours))
            for mean, one in zip(means, devices, strict=True)
        ],
        failed=failed,
    )


def ablation_cells(request: Request, model: str, drop: Sequence[str], *, factorial: bool) -> list[Cell]:
    """Cells of the variants that ``bench ablate`` would train, the full model among them."""
    from benchmark.study.variants import choose_variants

    alone = replace(request, models=(model,))
    ((spec, recipe),) = resolve_models(alone)
    variants = choose_variants(spec, recipe, drop, factorial=factorial)
    return name_cells(replace(alone, ablations=variants), [(spec, recipe)], None)


def _size(networks: Sequence[Network], works: Sequence[Work], images: Images) -> Size:
    return Size(
        models=len(networks),
        sets=images.num_sets,
        cells=sum(network.num_cells for network in networks),
        images=images.train + images.val + sum(images.tests.values()),
        tests=mean_over_cells(networks, [work.test for work in works]),
        num_params=mean_over_cells(networks, [float(network.num_params) for network in networks]),
        map_px=images.map_px,
        test_sets=len(images.tests),
    )


def _conditions(device: str) -> Conditions:
    facts: dict[str, Any] = env.describe(device)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Conditions(
        device=device,
        device_name=facts["device_name"],
        num_threads=facts["num_threads"],
        num_cores=facts["num_cores"],
        load=load,
        torch=str(facts["packages"]["torch"]),
        commit=facts["commit"],
    )


def _here(here: Conditions) -> str:
    threads = "" if here.device.startswith("cuda") else f", {here.num_threads} thread{'s' * (here.num_threads != 1)}"
    return f"This machine ({here.device_name}{threads})"
