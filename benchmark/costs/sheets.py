"""The cost of a plan as tables: time by device, cost of each network, growth."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.costs.devices import DeviceCost
from benchmark.costs.growth import MAP_BYTES_PER_PX
from benchmark.costs.plan_cost import Estimate
from benchmark.costs.words import measured_on, notes_on, plan_words
from benchmark.report.sheets.sheet import Cell, Column, Sheet


def sheets(found: Estimate) -> list[Sheet]:
    """All tables of an estimate."""
    return [devices_sheet(found), networks_sheet(found), growth_sheet(found)]


def devices_sheet(found: Estimate) -> Sheet:
    """Hours of the whole plan by kind and number of devices."""
    heads = [Column("Device", align="l"), Column("Basis", align="l"), Column("Peak (TFLOPS)"), Column("Utilisation")]
    heads += [Column(_fleet(count)) for count in found.counts]
    heads.append(Column("Batch fits", align="l"))
    return Sheet(
        stem="cost-devices",
        caption=f"Hours of the whole plan. {plan_words(found)} {measured_on(found)}",
        columns=tuple(heads),
        rows=tuple(_device_row(device, found) for device in found.devices),
        notes=tuple(notes_on(found)),
    )


def networks_sheet(found: Estimate) -> Sheet:
    """Cost of each network per image and per cell."""
    heads = ["Params (M)", "GMACs", "GMACs, step", "Images/s, training", "Images/s, forward", "Kept (MiB/image)"]
    columns = [Column("Model", align="l"), Column("Cells"), *map(Column, heads), Column("Memory (GB)")]
    columns += [Column(f"h per cell, {_short(device)}") for device in found.devices]
    rows = []
    for k, network in enumerate(found.networks):
        numbers = [network.num_params / 1e6, network.forward_gmacs, network.step_gmacs]
        numbers += [1 / network.step_s, 1 / network.forward_s, network.kept_mb, network.memory_mb / 953.67]
        hours = [_range([s / 3600 for s in device.cell_s[k]]) for device in found.devices]
        cells = [network.label, str(network.num_cells), *map(number, numbers), *hours]
        rows.append(tuple(map(Cell, cells)))
    batch = sorted({network.batch for network in found.networks})
    notes = (
        f"Measured on this machine at batch {', '.join(map(str, batch))}: multiply-adds (torch's flop counter; step: "
        "forward, loss and backward), images/s, and the tensors that autograd keeps for the backward pass",
        "Memory (GB, 1e9 bytes) is a proxy: 16 bytes per parameter (weight, gradient, Adam's two moments) and the kept "
        "tensors of a pass, in this machine's precision (half keeps about half); workspaces and fragmentation on top",
    )
    return Sheet("cost-networks", f"Cost of the networks. {measured_on(found)}", tuple(columns), tuple(rows), notes)


def growth_sheet(found: Estimate) -> Sheet:
    """Growth of hours and disk space with models, sets and seeds."""
    size, grown = found.size, found.grown
    lines: list[tuple[str, float, float, str]] = [
        ("Trainings (cells)", size.cells, grown.cells, "models x seeds; sets are pooled"),
        ("Different images", size.images, grown.images, "sets"),
    ]
    rows = [_growth_row(*line) for line in lines]
    for device, hours in zip(found.devices, found.grown_hours, strict=True):
        rows += [_hours_row(device, count, device.hours[count], hours[count]) for count in device.hours]
    gb = 1e9
    pixel = max(recipe.image_size**2 * 4 for recipe in found.recipes) / gb
    more: list[tuple[str, float, float, str]] = [
        ("Maps (GB)", size.map_bytes / gb, grown.map_bytes / gb, "models x sets x seeds"),
        ("Records, curves, scores (GB)", size.record_bytes / gb, grown.record_bytes / gb, "models x sets x seeds"),
        ("Weights, best.pt (GB)", size.weight_bytes / gb, grown.weight_bytes / gb, "models x seeds"),
        ("Pixel cache (GB)", size.images * pixel, grown.images * pixel, "sets"),
        ("Pairs of images, audit of look-alikes", size.image_pairs, grown.image_pairs, "sets^2"),
        ("Pairs of models x test sets, significance", size.model_pairs, grown.model_pairs, "models^2 x sets"),
    ]
    rows += [_growth_row(*line) for line in more]
    caption = (
        f"Growth from this plan ({size.models} networks, {size.sets} sets, {size.cells} cells) to "
        f"{grown.models} models x {grown.sets} sets x {grown.cells // grown.models} seeds: cells of the plan's mean "
        "cost, sets of its mean size."
    )
    heads = (Column("What", align="l"), Column("This plan"), Column("Grown"), Column("Factor"))
    notes = (
        "Super-linear: only the audit's pairs of images and the tables' pairs of models; trainings, scoring and space "
        "are linear in each number",
        "A training per set instead of one on all sets: as much training in all, but as many times the maps, scores "
        "and weights as there are sets, if every network is tested on every set",
        f"Space: maps at {MAP_BYTES_PER_PX} bytes per pixel (PraNet's published Kvasir maps, PNG), records by phantom "
        "runs; not counted: MLflow's mirror, states of unfinished trainings (16 bytes per parameter and running cell)",
    )
    return Sheet("cost-growth", caption, (*heads, Column("Grows with", align="l")), tuple(rows), notes)


def number(value: float) -> str:
    """About three digits, no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.095 else f"{value:.2g}"


def _device_row(device: DeviceCost, found: Estimate) -> tuple[Cell, ...]:
    shares = dict.fromkeys(device.utilisation or ())
    share = "–".join(f"{100 * s:g}" for s in shares) + " %" if shares else ""
    hours = [_range(device.hours[count]) if count in device.hours else "" for count in found.counts]
    if device.too_small is None:
        fits = ""
    elif device.too_small:
        fits = f"not {', '.join(device.too_small)} ({device.memory_gb:g} GB)"
    else:
        fits = f"all ({device.memory_gb:g} GB)"
    peak = "" if device.peak_tflops is None else f"{device.peak_tflops:g}"
    return tuple(map(Cell, [device.title, device.basis, peak, share, *hours, fits]))


def _hours_row(device: DeviceCost, count: int, now: tuple[float, float], then: tuple[float, float]) -> tuple[Cell, ...]:
    what = f"Hours, {_short(device)}" + (f" x {count}" if count > 1 else "")
    grows = "models x sets x seeds" if count == 1 else "the same, in whole cells per device"
    return (Cell(what), Cell(_range(now)), Cell(_range(then)), *_factor(now[1], then[1]), Cell(grows))


def _growth_row(what: str, now: float, then: float, grows: str) -> tuple[Cell, ...]:
    return (Cell(what), Cell(_whole(now)), Cell(_whole(then)), *_factor(now, then), Cell(grows))


def _whole(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else number(value)


def _factor(now: float, then: float) -> tuple[Cell]:
    return (Cell(number(then / now) if now else ""),)


def _range(pair: Sequence[float]) -> str:
    return "–".join(dict.fromkeys(number(value) for value in pair))


def _fleet(count: int) -> str:
    return "1 device" if count == 1 else f"{count}-GPU node" if count <= 8 else f"Ray, {count} GPUs"


def _short(device: DeviceCost) -> str:
    return "here" if device.title.startswith("This machine") else device.title
