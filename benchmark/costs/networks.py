"""Cost of each network per image, measured on this machine: multiply-adds, seconds, memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmark.costs.formula import memory_mb
from benchmark.costs.profile import count_macs
from benchmark.costs.training_step import affordable_batch, measure_step, timed_call
from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.models.summary import live_parameters
from benchmark.runtime.device import make_fabric
from benchmark.study.cells import Cell

_FORWARD_REPEATS = 2


@dataclass(frozen=True)
class Network:
    """One model or variant at its recipe's size, measured here.

    Attributes:
        cell: A cell of it.
        num_cells: How many cells the plan has of it.
        num_params: Unique parameters.
        forward_gmacs: 1e9 multiply-adds of one image's forward pass in evaluation.
        step_gmacs: 1e9 multiply-adds per image of forward pass, loss and backward pass in training.
        forward_s, step_s: Seconds per image of the same, at ``batch`` images.
        kept_mb: MB per image that autograd keeps for the backward pass.
        batch: Images in the timed batch.
        peak_mb: The allocator's peak at that batch where the device is CUDA.
    """

    cell: Cell
    num_cells: int
    num_params: int
    forward_gmacs: float
    step_gmacs: float
    forward_s: float
    step_s: float
    kept_mb: float
    batch: int
    peak_mb: float | None = None

    @property
    def label(self) -> str:
        """Title, and the parts that a variant leaves out."""
        without = f" without {', '.join(self.cell.ablation)}" if self.cell.ablation else ""
        return self.cell.spec.title + without

    @property
    def memory_mb(self) -> float:
        """MB that training needs at least at the recipe's batch, or at the passes that it is cut into."""
        recipe = self.cell.recipe
        batch = min(recipe.batch_size, recipe.micro_batch or recipe.batch_size)
        return memory_mb(num_params=self.num_params, kept_mb=self.kept_mb, batch=batch)


def measure_networks(
    cells: Iterable[Cell], *, device: str, progress: Callable[[int, int], None] = lambda *_: None
) -> tuple[list[Network], list[str]]:
    """Measure each model and variant once; its seeds cost the same.

    Returns:
        The networks, and a line for each that cannot run; those are left out.
    """
    kinds: dict[tuple[str, tuple[str, ...]], list[Cell]] = {}
    for cell in {cell.id: cell for cell in cells}.values():
        kinds.setdefault((cell.spec.name, cell.ablation), []).append(cell)
    found, failed = [], []
    for number, members in enumerate(kinds.values()):
        progress(number, len(kinds))
        try:
            found.append(replace(measure_network(members[0], device=device), num_cells=len(members)))
        except Exception as error:  # anything a user's model raises; a run, too, records it and continues
            if isinstance(error, BenchError) and str(error).startswith("--device"):
                raise
            reason = (str(error) or type(error).__name__).splitlines()[0]
            failed.append(f"{members[0].spec.title} cannot run and is left out of the estimate: {reason}")
        gc.collect()
    progress(len(kinds), len(kinds))
    if not found:
        raise BenchError(f"nothing to estimate: {'; '.join(failed)}")
    return found, failed


def measure_network(cell: Cell, *, device: str) -> Network:
    """Count and time one network on random pixels; weights are random, since they change no cost."""
    recipe = cell.recipe
    fabric = make_fabric(device, recipe)
    torch.manual_seed(0)
    model = build_network(cell.spec, cell.recipe, drop=cell.ablation, pretrained=False)
    batch = affordable_batch(recipe.batch_size, fabric.device)
    step = measure_step(model, fabric, side=recipe.image_size, batch=batch, loss=recipe.loss)
    model.eval().zero_grad(set_to_none=True)
    images = torch.randn(batch, 3, recipe.image_size, recipe.image_size, device=fabric.device)
    with torch.inference_mode(), fabric.autocast():
        gmacs = count_macs(model, images[:1]) / 1e9
        times = [timed_call(lambda: model(images), fabric.device) for _ in range(_FORWARD_REPEATS)]
    return Network(
        cell=cell,
        num_cells=1,
        num_params=live_parameters(model),
        forward_gmacs=gmacs,
        step_gmacs=step.gmacs,
        forward_s=float(np.median(times)) / batch,
        step_s=step.seconds,
        kept_mb=step.kept_mb,
        batch=batch,
        peak_mb=step.peak_mb,
    )


def mean_over_cells(networks: Sequence[Network], values: Sequence[float]) -> float:
    """Mean of a value over a plan's cells."""
    weights = [network.num_cells for network in networks]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
