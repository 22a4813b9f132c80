"""Time of a plan on each device: from measured images/s if there are any, else from an assumed share of the peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.config import Recipe
from benchmark.costs.formula import Host, Speed, Work, assumed_speed, cell_seconds, makespan
from benchmark.costs.hardware import Device
from benchmark.costs.networks import Network
from benchmark.errors import BenchError

Row = Mapping[str, Any]
"""A row of ``profile.csv``."""

_ROOM = 0.8
"""Share of a device's memory that the counted part may fill: workspaces and fragmentation need the rest."""


@dataclass(frozen=True)
class DeviceCost:
    """A plan on one kind of device.

    Attributes:
        title: Its name.
        basis: Where seconds come from: measured here, measured by ``bench profile``, or an assumed share of a peak.
        peak_tflops: The published peak that was assumed; None where everything was measured.
        utilisation: The assumed share, low and high.
        source: Of the peak.
        cell_s: Seconds of one cell of each network: lower bound (high utilisation) and upper bound.
        hours: Number of devices -> hours until the last cell ends, lower and upper bound.
        too_small: Networks whose batch does not fit; None where the memory is unknown.
        measured: Networks whose speed was measured.
    """

    title: str
    basis: str
    peak_tflops: float | None
    utilisation: tuple[float, float] | None
    source: str
    memory_gb: float | None
    cell_s: list[tuple[float, float]]
    hours: dict[int, tuple[float, float]]
    too_small: list[str] | None
    measured: list[str]


def this_machine(networks: Sequence[Network], works: Sequence[Work], host: Host, *, name: str) -> DeviceCost:
    """The plan on this machine, one cell after the other, from the steps timed here."""
    cells = [cell_seconds(work, Speed(n.step_s, n.forward_s), host) for n, work in zip(networks, works, strict=True)]
    pairs = [(s, s) for s in cells]
    everyone = [n.label for n in networks]
    return DeviceCost(name, "measured here", None, None, "", None, pairs, _hours(networks, pairs, [1]), None, everyone)


def on_device(
    device: Device,
    networks: Sequence[Network],
    works: Sequence[Work],
    host: Host,
    *,
    counts: Sequence[int],
    profile: Sequence[Row] = (),
    here: str = "",
) -> DeviceCost:
    """The plan on a device of the table.

    Measurements replace the assumption: steps timed just now where the device that they were timed on
    (``here``, by name) is one, and rows of ``profile.csv``.
    """
    rows = [row for row in profile if _is_one(device, str(row["device_name"]))]
    cell_s, measured = [], []
    for network, work in zip(networks, works, strict=True):
        timed = Speed(network.step_s, network.forward_s) if _is_one(device, here) else None
        known = timed or measured_speed(network, rows)
        speeds = [known, known] if known else _assumed(device, network)
        cell_s.append((cell_seconds(work, speeds[1], host), cell_seconds(work, speeds[0], host)))
        measured += [network.label] if known else []
    recipe = networks[0].cell.recipe
    everything = len(measured) == len(networks)
    how = "measured here" if _is_one(device, here) else "measured by bench profile"
    basis = how if everything else "partly measured, otherwise assumed" if measured else "assumed"
    small = [n.label for n in networks if n.memory_mb > _ROOM * device.memory_gb * 1e9 / 2**20]
    return DeviceCost(
        title=device.title,
        basis=basis,
        peak_tflops=None if everything else device.peak_tflops(recipe),
        utilisation=None if everything else device.utilisation(recipe),
        source=device.source,
        memory_gb=device.memory_gb,
        cell_s=cell_s,
        hours=_hours(networks, cell_s, counts),
        too_small=small,
        measured=measured,
    )


def other_measured(
    profile: Sequence[Row],
    known: Sequence[Device],
    networks: Sequence[Network],
    works: Sequence[Work],
    host: Host,
    *,
    counts: Sequence[int],
    but: str,
) -> list[DeviceCost]:
    """The plan on devices outside the table on which every network was profiled, except the one named."""
    names = dict.fromkeys(str(row["device_name"]) for row in profile)
    names = dict.fromkeys(n for n in names if n != but and not any(_is_one(device, n) for device in known))
    found = []
    for name in names:
        rows = [row for row in profile if row["device_name"] == name]
        speeds = [measured_speed(network, rows) for network in networks]
        if not all(speeds):
            continue
        seconds = [cell_seconds(w, s, host) for w, s in zip(works, speeds, strict=True) if s is not None]
        pairs = [(s, s) for s in seconds]
        hours = _hours(networks, pairs, counts)
        labels = [network.label for network in networks]
        found.append(DeviceCost(name, "measured by bench profile", None, None, "", None, pairs, hours, None, labels))
    return found


def measured_speed(network: Network, rows: Sequence[Row]) -> Speed | None:
    """Seconds per image of a network from profiled training steps at its size and precision; the nearest batch counts.

    A variant takes its full model's multiply-adds per second.
    """
    recipe = network.cell.recipe
    fitting = [
        row
        for row in rows
        if row["model"] == network.cell.spec.name
        and int(row["size_px"]) == recipe.image_size
        and row.get("train_precision") in _precisions(recipe, row)
        and row.get("train_ms")
    ]
    if not fitting:
        return None
    row = min(fitting, key=lambda row: abs(row["batch"] - recipe.batch_size))
    step_s = row["train_ms"] / 1e3 / row["batch"] * network.step_gmacs / row["train_gmacs"]
    forward_s = row["latency_ms"] / 1e3 / row["batch"] * network.forward_gmacs / row["gmacs"]
    return Speed(step_s, forward_s)


def _is_one(device: Device, name: str) -> bool:
    """Whether a device that torch calls ``name`` is one of this kind."""
    return bool(device.match) and device.match.lower() in name.lower()


def _precisions(recipe: Recipe, row: Row) -> tuple[str, ...]:
    """What a recipe's precision can be on a profiled device; auto: full on a CPU, half on CUDA."""
    if recipe.precision != "auto":
        return (recipe.precision,)
    return ("bf16-mixed", "16-mixed") if str(row["device"]).startswith("cuda") else ("32-true",)


def parse_counts(counts: Sequence[int]) -> list[int]:
    """Check numbers of devices."""
    if not counts or min(counts) < 1:
        raise BenchError(f"--gpus {','.join(map(str, counts))}: expected whole numbers from 1, for example 1,8,32")
    return list(dict.fromkeys(counts))


def _assumed(device: Device, network: Network) -> list[Speed]:
    recipe = network.cell.recipe
    return [
        assumed_speed(
            step_gmacs=network.step_gmacs,
            forward_gmacs=network.forward_gmacs,
            peak_tflops=device.peak_tflops(recipe),
            utilisation=share,
        )
        for share in device.utilisation(recipe)
    ]


def _hours(
    networks: Sequence[Network], cell_s: Sequence[tuple[float, float]], counts: Sequence[int]
) -> dict[int, tuple[float, float]]:
    best, most = (
        [s for n, pair in zip(networks, cell_s, strict=True) for s in [pair[k]] * n.num_cells] for k in (0, 1)
    )
    return {count: (makespan(best, count) / 3600, makespan(most, count) / 3600) for count in counts}
