"""A training by several real processes, beside the same training by one."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from small_training import make_pool
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.execution.process_group import group_fabric, leave_group
from benchmark.training.loop import train
from benchmark.training.state import Follower, Keeper


@dataclass(frozen=True)
class Case:
    """A recipe, how many images, and whether the network has batch norm or group norm."""

    norm: str
    images: int
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        every_piece = ("colour_exchange", "hflip", "vflip", "rot90", "rotate", "zoom", "crop", "jitter")
        fixed = {"image_size": 32, "load_size": 32, "batch_size": 5, "epochs": 2, "augmentation": every_piece}
        return Recipe(**{**fixed, "optimizer": "sgd", "lr": 0.1, "clip_norm": 1.0, **self.fields})


class NormNet(nn.Module):
    """No draws of its own, one parameter that training leaves out, two maps."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        make = nn.BatchNorm2d if norm == "batch" else lambda width: nn.GroupNorm(2, width)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), make(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), make(8))
        self.head = nn.Conv2d(8, 1, 1)
        self.unused = nn.Linear(2, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        small = self.head(self.body(image).relu())
        return nn.functional.interpolate(small, image.shape[-2:], mode="bilinear"), small


@dataclass
class Seen:
    """What a training left: each step's loss and gradients, the history, the final state."""

    losses: list[float]
    gradients: list[list[Tensor]]
    history: list[dict[str, float]]
    state: dict[str, Tensor]


def train_case(case: Case, fabric: Fabric, folder: Path) -> Seen:
    torch.manual_seed(7 + fabric.global_rank)  # the first process's values hold for all
    net = NormNet(case.norm)
    losses: list[float] = []
    gradients: list[list[Tensor]] = []

    def on_step(epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        losses.append(loss)
        gradients.append([p.grad.clone() for p in net.parameters() if p.grad is not None])

    kind = Keeper if fabric.is_global_zero else Follower
    keeper = kind(folder / f"{fabric.global_rank}.pt", owner="net")
    data = (make_pool(case.images, 0), make_pool(6, 1))
    for part in data[0].parts:
        part.names = tuple(f"frame-{row}" if row % 2 else f"polyp-{row}a" for row in part.rows)  # donors by name
    outcome = train(net, case.recipe, data, seed=0, fabric=fabric, keeper=keeper, on_step=on_step)
    return Seen(losses, gradients, outcome.history, net.state_dict())


def alone(case: Case, folder: Path) -> Seen:
    fabric = Fabric(accelerator="cpu", devices=1)
    return train_case(case, fabric, folder)


def together(cases: list[Case], world: int, folder: Path) -> list[Seen]:
    """The same cases by ``world`` processes, one after the other in one group; what the first process saw."""
    fresh = multiprocessing.get_context("forkserver")
    fresh.set_forkserver_preload([__name__, "benchmark.training.loop"])  # torch is imported once for all of them
    crowd = [fresh.Process(target=_main, args=(cases, world, rank, folder)) for rank in range(world)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(500)
        process.kill()
    assert [process.exitcode for process in crowd] == [0] * world
    return torch.load(folder / "seen.pt", weights_only=False)


def _main(cases: list[Case], world: int, rank: int, folder: Path) -> None:
    recipe, timeout = cases[0].recipe, timedelta(minutes=8)
    fabric = group_fabric("cpu", recipe, world, rank=rank, store=folder / "store", timeout=timeout)
    seen = [train_case(case, fabric, folder / str(number)) for number, case in enumerate(cases)]
    if rank == 0:
        torch.save(seen, folder / "seen.pt")
    leave_group()
