"""One training loop that reads top to bottom.

Fabric takes care of device and precision. Data order and augmentation are derived from names (seed, epoch, step), and
what the network draws itself comes from a generator whose state is kept, so a cell that was stopped after any step
continues exactly as if it had not been (``state.py``).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from benchmark.config import Recipe, derive_seed
from benchmark.data.pixels.pool import Pool
from benchmark.runtime.compute import Compute, resolve
from benchmark.runtime.signals import hold_back
from benchmark.training.average import Average
from benchmark.training.batch_norm import convert
from benchmark.training.batches import Batches, epoch_positions
from benchmark.training.ledger import DivergedError, Ledger, StepLoss
from benchmark.training.optim import make_optimizer, plateau_rate, set_lr
from benchmark.training.resident import Resident, fits
from benchmark.training.share import Share
from benchmark.training.state import Keeper, TrainState
from benchmark.training.steps import Stepper
from benchmark.training.task import SEGMENTATION, Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class Outcome:
    """How a training ended: ``ok`` or ``diverged``, with its history and the selected epoch.

    ``facts`` is the record's ``training``: how the device computed, where memory was short, what diverged.
    """

    status: str
    history: list[dict[str, float]]
    best_epoch: int
    error: str | None
    seconds: float
    images_per_s: float
    facts: dict[str, Any] = field(default_factory=dict)


def train(
    model: nn.Module,
    recipe: Recipe,
    data: tuple[Pool, Pool],
    *,
    seed: int,
    fabric: Fabric,
    keeper: Keeper,
    on_step: Callable[[int, int, int, float, float], None] = lambda *_: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
    task: Task = SEGMENTATION,
) -> Outcome:
    """Train a model in place; on return it holds the weights of the selected epoch.

    Args:
        model: Network of the registry, on the CPU.
        recipe: Resolved settings.
        data: Training and validation pixels. The checkpoint is chosen on the second, never on a test set.
        seed: The cell's seed; data order and augmentation depend on it and not on the model.
        fabric: Launched Lightning Fabric; where it has several processes, each calls this, and the first one validates,
            keeps the state and returns the outcome (``share.py``).
        keeper: Stores the running state during training; training continues from a stored state.
        on_step: Called with epoch, step, steps per epoch, loss, images/s.
        on_epoch: Called with the new row of the history.
        task: How batches are made and scored.
    Returns:
        The outcome; status ``diverged`` when the loss or a score was not finite, or the loss exploded.
    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; the state after the last whole step is on disk.
    """
    compute = resolve(recipe, fabric.device)
    if compute.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    share = Share.of(fabric)
    model = convert(model, fabric)
    average = Average(model, recipe.ema_decay, fabric.device) if recipe.ema_decay and share.rank == 0 else None
    judged = model if average is None else average.module
    optimizer = make_optimizer(model, recipe, fused=compute.fused_optimizer is True)
    network, optimizer = fabric.setup(compute.compiled(model), optimizer)
    train_set, val_set = data
    val_pixels: Pool | Resident = val_set
    resident = None
    on_cpu = recipe.noise or recipe.transforms  # these draws happen on it
    if not on_cpu and fits(data, fabric.device):
        resident, val_pixels = Resident(train_set, fabric.device), Resident(val_set, fabric.device)
    batches = task.batches(train_set, recipe, fabric.device, share, resident)
    keeper.watch(model, optimizer, fabric, average)
    state = keeper.load()
    step_on = Stepper(network, model, optimizer, recipe, fabric, compute, state, keeper.say, share)

    begun = time.perf_counter() - state.seconds  # time of earlier runs counts too
    baseline = task.baseline(val_set)
    with hold_back() as stop, keeper:
        while state.epoch < recipe.epochs and not _has_waited(recipe, state, fabric, task):
            epoch = state.epoch + 1
            positions = epoch_positions(len(train_set), recipe, seed=seed, epoch=epoch)
            ledger = Ledger(fabric.device)

            def tell(losses: list[StepLoss], epoch: int = epoch, steps: int = len(positions)) -> None:
                for one in losses:
                    state.add_loss(one.loss, one.num_images, time.perf_counter() - begun)
                    on_step(epoch, one.step + 1, steps, one.loss, state.images_per_s)

            plateau = _plateau(recipe, state, fabric, task)
            model.train()
            if state.step == 0:
                torch.manual_seed(derive_seed("noise", seed, epoch))
            try:
                for batch in batches.of_epoch(positions, first=state.step, seed=seed, epoch=epoch):
                    set_lr(optimizer, recipe, epoch - 1 + batch.step / len(positions), plateau=plateau)
                    share.seed_noise(seed, epoch, batch.step)
                    result = step_on(batch.images, batch.masks, batch.generator, count=batch.num_images)
                    ledger.add(batch.step, batch.num_images, result)
                    if average is not None:
                        average.update(model)
                    state.step += 1
                    tell(ledger.due())
                    if stop.requested or keeper.is_due:
                        tell(ledger.drain())
                        keeper.save(state)
                    if stop.requested:
                        keeper.finish()
                        raise stop.now()
                tell(ledger.drain())
            except DivergedError as error:
                step = state.step if error.step is None else error.step
                cause = _cause(epoch, step - error.earlier, positions, train_set)
                message = f"{error} at epoch {epoch}, step {step + 1} of {len(positions)}"
                return _end(state, model, compute, batches, begun, diverged=cause, error=message)
            if share.rank:  # the first process validates and saves; this one only contributes gradients
                state.add_epoch({}, 0.0)
                continue
            scores = task.validate(judged, recipe, val_pixels, fabric)
            if not all(map(math.isfinite, scores.values())):
                cause = _cause(epoch, len(positions) - 1, positions, train_set)
                message = f"validation output is not finite after epoch {epoch}"
                return _end(state, model, compute, batches, begun, diverged=cause, error=message)
            row = {
                "epoch": epoch,
                "lr": optimizer.param_groups[0]["lr"],
                "train_loss": state.loss_sum / sum(map(len, positions)),
                **scores,
                **baseline,
            }
            state.add_epoch(row, time.perf_counter() - begun)
            score = scores[task.metric(recipe)]
            if recipe.select.startswith("last") or score > state.best_score:
                state.best_score, state.best_epoch = score, epoch
                state.best_weights = {k: v.detach().to("cpu", copy=True) for k, v in judged.state_dict().items()}
            on_epoch(row)
            if epoch < recipe.epochs and keeper.is_due:
                keeper.save(state)

    outcome = _end(state, model, compute, batches, begun)
    if state.epoch < recipe.epochs:
        outcome.facts["stopped_early"] = {"epoch": state.epoch, "of": recipe.epochs, "patience": recipe.patience}
    return outcome


def _has_waited(recipe: Recipe, state: TrainState, fabric: Fabric, task: Task) -> bool:
    """Return whether the last ``patience`` epochs brought no new best score, as the first process knows it."""
    if recipe.patience is None:
        return False
    scores = [row[task.metric(recipe)] for row in state.history if row]
    waited = len(scores) - 1 - int(np.argmax(scores)) if scores else 0
    return bool(fabric.broadcast(waited >= recipe.patience))


def _plateau(recipe: Recipe, state: TrainState, fabric: Fabric, task: Task) -> float | None:
    """Return the epoch's rate if it depends on validation; the first process, which has the scores, broadcasts it."""
    if recipe.schedule != "plateau":
        return None
    scores = [row[task.metric(recipe)] for row in state.history if row]
    return float(fabric.broadcast(plateau_rate(recipe, scores)))


def _cause(epoch: int, step: int, batches: list[np.ndarray], train_set: Pool) -> dict[str, Any]:
    """Return the batch at which training diverged: epoch and step from 1, and its images."""
    return {"epoch": epoch, "step": step + 1, "images": train_set.labels(batches[step])}


def _end(
    state: TrainState,
    model: nn.Module,
    compute: Compute,
    batches: Batches,
    begun: float,
    *,
    diverged: dict[str, Any] | None = None,
    error: str | None = None,
) -> Outcome:
    if state.best_weights:
        model.load_state_dict(copy.copy(state.best_weights))
    seconds = time.perf_counter() - begun
    facts: dict[str, Any] = {**compute.facts(), "micro_batch": state.micro_batch}
    if batches.way != "in line":
        facts["pixels"] = batches.way
    if state.out_of_memory:
        facts["out_of_memory"] = state.out_of_memory
    if diverged:
        facts["diverged"] = diverged
    return Outcome(
        status="diverged" if diverged else "ok",
        history=state.history,
        best_epoch=state.best_epoch,
        error=error,
        seconds=seconds,
        images_per_s=state.seen / max(seconds, 1e-9),
        facts=facts,
    )
