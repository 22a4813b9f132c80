"""torch's process group and Fabric over several devices of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.runtime.compute import resolve, set_kernels
from benchmark.study.cells import Cell


def check_devices(device: str, count: int, cells: Iterable[Cell]) -> None:
    """Refuse an impossible number of devices before anything is trained.

    Raises:
        BenchError: Less than one, more than there are GPUs or images in a batch, or a kind of device that exists once.
    """
    if count < 1:
        raise BenchError(f"--devices {count}: expected 1 or more")
    if count == 1:
        return
    if ":" in device:
        raise BenchError(f"--devices {count} with --device {device}: that is one device; use --device cuda")
    kind = _kind(device)
    if kind not in ("cpu", "cuda"):
        raise BenchError(f"--devices {count}: only CUDA devices and CPU processes train together, not {kind}")
    if kind == "cuda" and count > torch.cuda.device_count():
        raise BenchError(f"--devices {count}: this machine has {torch.cuda.device_count()} CUDA devices")
    for cell in cells:
        size = cell.recipe.batch_size
        if count > size:
            raise BenchError(
                f"--devices {count}: more than the {size} images of a batch ({cell.spec.title}, recipe "
                f"{cell.recipe.name}); take at most {size} devices, or --set batch_size={count}"
            )
        if kind == "cpu" and cell.recipe.compile is True:
            raise BenchError(f"--devices {count} with compile = true: not on a CPU; train with compile = auto")


def group_fabric(device: str, recipe: Recipe, world: int, *, rank: int, store: Path, timeout: timedelta) -> Fabric:
    """Join the group and launch Fabric on this process's device; returns when all have joined.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        recipe: Says the precision.
        world: How many processes.
        rank: Which of them this one is, from 0.
        store: File by which they find each other; it must not exist yet, in a folder that nobody else can read.
        timeout: The longest wait for another process.
    """
    kind = _kind(device)
    mine = torch.device("cuda", rank) if kind == "cuda" else torch.device("cpu")
    if kind == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // world))
    if sys.platform == "linux":  # listen on this machine only
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, "lo")
    dist.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        store=dist.FileStore(str(store), world),
        rank=rank,
        world_size=world,
        timeout=timeout,
        device_id=mine if kind == "cuda" else None,
    )
    compute = resolve(recipe, mine)
    fabric = Fabric(
        accelerator=kind,
        devices=world,
        strategy=DDPStrategy(find_unused_parameters=True, cluster_environment=_Seat(rank, world)),
        precision=compute.precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    set_kernels(compute)
    return fabric


def leave_group(*, abort: bool = False) -> None:
    """Leave the group, if this process is in one; ``abort`` wakes a thread that waits for a process that died."""
    if not dist.is_initialized():
        return
    with suppress(Exception):  # the connections may be broken already
        if not abort:
            dist.destroy_process_group()
        elif dist.get_backend() == "nccl" and dist.group.WORLD is not None:  # gloo notices by itself
            dist.group.WORLD.abort()


class _Seat(LightningEnvironment):
    """Rank of this process; ``device_processes.py`` starts the processes, and they are connected already."""

    def __init__(self, rank: int, world: int) -> None:
        super().__init__()
        self._rank, self._world = rank, world

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def world_size(self) -> int:
        return self._world

    def global_rank(self) -> int:
        return self._rank

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0


def _kind(device: str) -> str:
    return Fabric(accelerator="auto", devices=1).device.type if device == "auto" else device.partition(":")[0]
