"""Steps of the device check that measure: images per second beside a bare loop's, memory, profiles."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from case import Case, clean, pools
from correct import Step, compilation
from torch import nn

from benchmark.config import Recipe
from benchmark.costs.profile import measure
from benchmark.models.registry import get_spec
from benchmark.runtime.compute import resolve
from benchmark.runtime.device import make_fabric
from benchmark.training.batches import Batches, epoch_positions
from benchmark.training.ledger import Ledger
from benchmark.training.losses import get_criterion, make_loss
from benchmark.training.optim import make_optimizer
from benchmark.training.resident import Resident, fits
from benchmark.training.share import Share
from benchmark.training.state import TrainState
from benchmark.training.steps import Stepper

BARS = {("unet", 352): 500.0, ("pranet", 352): 300.0}
"""Training images per second that an H100 should reach, from arithmetic; told, not demanded, on other cards."""
LEAST_RATIO = 0.97
_ROUNDS = 2


def throughput(case: Case, left: float) -> dict[str, Any]:
    """Training images per second of each network, and as a share of a bare loop's on a batch that lies there."""
    facts: dict[str, Any] = {}
    slow = []
    end = time.monotonic() + left
    for size in case.sizes_px:
        for name in case.models:
            if time.monotonic() > end - 20:
                facts[f"{name} {size} px"] = "left out: the time is up"
                continue
            with clean(case):
                ours, bare, peak = _pace(case, case.model(name), case.recipe(image_size=size))
            bar = BARS.get((name, size), 0.0) if case.is_cuda and "H100" in torch.cuda.get_device_name() else 0.0
            if not case.short and (ours / bare < LEAST_RATIO or ours < bar):
                slow.append(f"{name} {size} px: {ours:.0f} images/s, {ours / bare:.3f} of a bare loop")
            facts[f"{name} {size} px"] = f"{ours:.1f} images/s, {ours / bare:.3f} of a bare loop, peak {peak:.0f} MB"
    assert not slow, "; ".join(slow)
    return facts


def _pace(case: Case, model: nn.Module, recipe: Recipe) -> tuple[float, float, float]:
    """Images per second of the harness and of the bare loop, rounds of both in turn; peak memory in MB."""
    fabric = make_fabric(str(case.device), recipe)
    compute = resolve(recipe, fabric.device)
    if compute.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network, optimizer = fabric.setup(model, make_optimizer(model, recipe, fused=compute.fused_optimizer is True))
    data = pools(case, recipe.image_size)
    resident = Resident(data[0], fabric.device) if fits(data, fabric.device) else None
    batches = Batches(data[0], recipe, fabric.device, Share(), resident)
    stepper = Stepper(network, model, optimizer, recipe, fabric, compute, TrainState(), print)
    loss = make_loss(model, get_criterion(recipe.loss))
    whole = [p for p in epoch_positions(len(data[0]), recipe, seed=0, epoch=1) if len(p) == case.batch]
    positions = whole * (4 if case.is_cuda else 1)  # more steps than a loss waits to be read
    first = batches.one(positions[0], seed=0, epoch=1, step=0)

    def harness() -> None:
        ledger = Ledger(fabric.device)
        for batch in batches.of_epoch(positions, first=0, seed=0, epoch=1):
            ledger.add(batch.step, batch.num_images, stepper(batch.images, batch.masks, batch.generator))
            ledger.due()
        ledger.drain()

    def bare() -> None:
        for _ in positions:
            optimizer.zero_grad(set_to_none=True)
            outputs = network(first.images)
            with fabric.autocast():
                value = loss(outputs, first.masks)
            fabric.backward(value)
            optimizer.step()

    model.train()
    count = len(positions) * case.batch
    times = [(_seconds(harness, case), _seconds(bare, case)) for _ in range(_ROUNDS + 1)][1:]
    ours, theirs = (count / min(pair[k] for pair in times) for k in (0, 1))
    return ours, theirs, torch.cuda.max_memory_allocated() / 2**20 if case.is_cuda else 0.0


def _seconds(function: Callable[[], None], case: Case) -> float:
    if case.is_cuda:
        torch.cuda.synchronize()
    begun = time.perf_counter()
    function()
    if case.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def profiles(case: Case, left: float) -> dict[str, Any]:
    """What ``bench profile --train`` measures, for ``bench estimate``."""
    rows = []
    end = time.monotonic() + left
    for name in ("unet",) if case.short else case.models:
        for size in case.sizes_px:
            if time.monotonic() < end - 15:
                with clean(case):
                    row = measure(get_spec(name), size, case.batch, 2 if case.short else 5, str(case.device), "paper")
                rows.append(asdict(row))
    return {"rows": len(rows), "profile": rows}


SPEED: dict[str, Step] = {"throughput": throughput, "profiles": profiles, "compilation": compilation}
