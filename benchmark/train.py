"""One training loop that reads top to bottom.

Fabric takes care of device and precision. Data order and augmentation are derived from names (seed, epoch, step), and
what the network draws itself comes from a generator whose state is kept, so a cell that was stopped after any step
continues exactly as if it had not been (``resume.py``).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.config import Recipe, derive_seed
from benchmark.criteria import Criterion, get_criterion, training_loss
from benchmark.data import transforms
from benchmark.data.colour import COLOUR_PIECES, ColourExchange, colour_exchange
from benchmark.data.pool import Pool
from benchmark.optim import make_optimizer, set_lr
from benchmark.resume import Keeper, TrainState
from benchmark.signals import hold_back
from benchmark.validate import baseline_dice, validate

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class Outcome:
    """How a training ended: ``ok`` or ``diverged``, with its history and the selected epoch."""

    status: str
    history: list[dict[str, float]]
    best_epoch: int
    error: str | None
    seconds: float
    images_per_s: float


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
) -> Outcome:
    """Train a model in place; on return it holds the weights of the selected epoch.

    Args:
        model: Network of the registry, on the CPU.
        recipe: Resolved settings.
        data: Training and validation pixels. The checkpoint is chosen on the second, never on a test set.
        seed: The cell's seed; data order and augmentation depend on it and not on the model.
        fabric: Launched Lightning Fabric.
        keeper: Where the running state is kept while training lasts; continued from when it is there.
        on_step: Called with epoch, step, steps per epoch, loss, images/s.
        on_epoch: Called with the new row of the history.
    Returns:
        The outcome; status ``diverged`` when the loss or a score was not finite.
    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; the state after the last whole step is on disk.
    """
    train_set, val_set = data
    criterion = get_criterion(recipe.loss)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, recipe)
    wrapped, optimizer = fabric.setup(model, optimizer)
    exchange = colour_exchange(recipe.augmentation, train_set)
    keeper.watch(model, optimizer, fabric)
    state = keeper.load()

    begun = time.perf_counter() - state.seconds  # time of earlier sittings counts too
    foreground = baseline_dice(val_set)
    with hold_back() as stop:
        while state.epoch < recipe.epochs:
            epoch = state.epoch + 1
            batches = list(_batches(len(train_set), recipe, seed=seed, epoch=epoch))
            model.train()
            if state.step == 0:
                torch.manual_seed(derive_seed("noise", seed, epoch))
            for step in range(state.step, len(batches)):
                set_lr(optimizer, recipe, epoch - 1 + step / len(batches))
                generator = torch.Generator().manual_seed(derive_seed("augment", seed, epoch, step))
                x, y = _network_batch(train_set, batches[step], recipe, exchange, fabric.device, generator)
                loss = _step(wrapped, model, optimizer, recipe, criterion, fabric, x, y, generator)
                if not math.isfinite(loss):
                    message = f"loss {loss} at epoch {epoch}, step {step + 1} of {len(batches)}"
                    return _end(state, model, "diverged", message, begun)
                state.add_step(loss, len(batches[step]), time.perf_counter() - begun)
                on_step(epoch, step + 1, len(batches), loss, state.images_per_s)
                if stop.requested or keeper.is_due:
                    keeper.save(state)
                if stop.requested:
                    raise stop.now()
            scores = validate(model, recipe, val_set, fabric)
            if not all(map(math.isfinite, scores.values())):
                message = f"validation output is not a number after epoch {epoch}"
                return _end(state, model, "diverged", message, begun)
            row = {
                "epoch": epoch,
                "lr": optimizer.param_groups[0]["lr"],
                "train_loss": state.loss_sum / sum(map(len, batches)),
                **scores,
                **foreground,
            }
            state.add_epoch(row, time.perf_counter() - begun)
            if recipe.select != "best" or scores[recipe.select_metric] > state.best_score:
                state.best_score, state.best_epoch = scores[recipe.select_metric], epoch
                state.best_weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            on_epoch(row)
            if epoch < recipe.epochs and keeper.is_due:
                keeper.save(state)

    return _end(state, model, "ok", None, begun)


def _batches(count: int, recipe: Recipe, *, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Positions of one epoch, shuffled; a last batch of a single image joins the one before (batch norm needs two)."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed("order", seed, epoch))).numpy()
    cuts = list(range(recipe.batch_size, count, recipe.batch_size))
    parts = np.split(order, cuts)
    short = len(parts) > 1 and len(parts[-1]) < recipe.batch_size
    if short and recipe.drop_last:
        parts = parts[:-1]
    elif short and len(parts[-1]) == 1:
        parts = [*parts[:-2], np.concatenate(parts[-2:])]
    yield from parts


def _network_batch(
    train_set: Pool,
    positions: np.ndarray,
    recipe: Recipe,
    exchange: ColourExchange | None,
    device: torch.device,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The augmented, normalised images (B, 3, S, S) and masks (B, 1, S, S) of one batch."""
    images, masks = train_set.batch(positions)
    x, y = transforms.to_float(images.to(device), masks.to(device))
    if exchange is not None:
        x = exchange(x, positions, generator)
    pieces = [piece for piece in recipe.augmentation if piece not in COLOUR_PIECES]
    x, y = transforms.augment(x, y, pieces, crop_size=recipe.image_size, generator=generator)
    return transforms.normalize(x, recipe.normalize), y


def _step(
    wrapped: nn.Module,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    criterion: Criterion | None,
    fabric: Fabric,
    x: Tensor,
    y: Tensor,
    generator: torch.Generator,
) -> float:
    """One batch: one optimiser step per scale. Returns the mean loss over the scales."""
    losses = []
    for factor in _scales(recipe, generator):
        corners, nearest = recipe.multi_scale == "each", recipe.masks == "nearest"
        scaled, mask = transforms.scale_batch(x, y, factor, align_corners=corners, nearest_masks=nearest)
        if recipe.channels_last:
            scaled = scaled.to(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        outputs = wrapped(scaled)
        with fabric.autocast():
            loss = training_loss(model, outputs, mask, criterion)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            return losses[-1]
        fabric.backward(loss)
        if recipe.clip_value is not None:
            fabric.clip_gradients(wrapped, optimizer, clip_val=recipe.clip_value)  # type: ignore[arg-type]
        if recipe.clip_norm is not None:
            fabric.clip_gradients(wrapped, optimizer, max_norm=recipe.clip_norm)  # type: ignore[arg-type]
        optimizer.step()
    return sum(losses) / len(losses)


def _scales(recipe: Recipe, generator: torch.Generator) -> list[float]:
    if recipe.multi_scale == "each":
        return list(recipe.scales)
    if recipe.multi_scale == "none":
        return [1.0]
    weights = torch.tensor(recipe.scale_weights or [1.0] * len(recipe.scales))
    return [recipe.scales[int(torch.multinomial(weights, 1, generator=generator))]]


def _end(state: TrainState, model: nn.Module, status: str, error: str | None, begun: float) -> Outcome:
    if state.best_weights:
        model.load_state_dict(copy.copy(state.best_weights))
    seconds = time.perf_counter() - begun
    return Outcome(status, state.history, state.best_epoch, error, seconds, state.seen / max(seconds, 1e-9))
