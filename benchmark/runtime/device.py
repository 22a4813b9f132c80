"""Devices by name, and Lightning Fabric on one of them."""

from __future__ import annotations

from typing import Any

from lightning_fabric import Fabric

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.runtime.compute import resolve


def make_fabric(device: str, recipe: Recipe) -> Fabric:
    """Launch Lightning Fabric on ``auto``, ``cpu``, ``cuda`` or ``cuda:<k>``."""
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise BenchError(f"--device {device}: expected auto, cpu, cuda, cuda:<k> or mps")
    try:
        devices: Any = [int(index)] if index else 1
        found = Fabric(accelerator=kind, devices=devices).device
        fabric = Fabric(accelerator=kind, devices=devices, precision=resolve(recipe, found).precision)  # type: ignore[arg-type]
        fabric.launch()
    except (RuntimeError, ValueError, TypeError) as error:
        raise BenchError(
            f"--device {device}: not available here ({str(error).splitlines()[0]}); try --device cpu"
        ) from None
    return fabric
