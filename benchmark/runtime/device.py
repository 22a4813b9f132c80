"""Devices by name, and Lightning Fabric on one of them."""

from __future__ import annotations

from typing import Any

from lightning_fabric import Fabric

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.runtime.compute import resolve, set_kernels
from benchmark.runtime.memory import limit_to_share


def make_fabric(device: str, recipe: Recipe) -> Fabric:
    """Launch Lightning Fabric on ``auto``, ``cpu``, ``cuda`` or ``cuda:<k>``."""
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise BenchError(f"--device {device}: expected auto, cpu, cuda, cuda:<k> or mps")
    try:
        devices: Any = [int(index)] if index else 1
        fabric = Fabric(accelerator=kind, devices=devices)
        found = fabric.device
        compute = resolve(recipe, found)
        if compute.precision != "32-true":  # Fabric's own default
            fabric = Fabric(accelerator=kind, devices=devices, precision=compute.precision)  # type: ignore[arg-type]
        fabric.launch()
        set_kernels(compute)
        if found.type == "cuda":
            limit_to_share(found.index or 0)
    except (RuntimeError, ValueError, TypeError) as error:
        raise BenchError(
            f"--device {device}: not available here ({str(error).splitlines()[0]}); try --device cpu"
        ) from None
    return fabric
