"""One training loop that reads top to bottom.

Fabric takes care of device and precision. Everything random is derived from names (seed, epoch, step), never from
a running state, so a cell that was interrupted after any epoch continues exactly as if it had not been.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.config import Recipe, derive_seed
from benchmark.criteria import Criterion, get_criterion, training_loss
from benchmark.data import transforms
from benchmark.data.colour import COLOUR_PIECES, ColourExchange, colour_exchange
from benchmark.data.pool import Pool
from benchmark.errors import BenchError
from benchmark.optim import make_optimizer, set_lr
from benchmark.store.io import explain_os_errors
from benchmark.validate import baseline_dice, validate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass
class TrainState:
    """Everything that a continued run needs besides the recipe."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    seen: int = 0


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
    last: Path,
    on_step: Callable[[int, int, int, float, float], None] = lambda *_: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
    checkpoint_every_s: float = _SECONDS_BETWEEN_CHECKPOINTS,
) -> Outcome:
    """Train a model in place; on return it holds the weights of the selected epoch.

    Args:
        model: Network of the registry, on the CPU.
        recipe: Resolved settings.
        data: Training and validation pixels. The checkpoint is chosen on the second, never on a test set.
        seed: The cell's seed; data order and augmentation depend on it and not on the model.
        fabric: Launched Lightning Fabric.
        last: Where the running state is kept while training lasts; continued from when it exists.
        on_step: Called with epoch, step, steps per epoch, loss, images/s.
        on_epoch: Called with the new row of the history.
        checkpoint_every_s: Write ``last`` at the end of an epoch when this much time has passed since the last write.
    Returns:
        The outcome; status ``diverged`` when the loss or a score was not finite.
    """
    train_set, val_set = data
    criterion = get_criterion(recipe.loss)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, recipe)
    wrapped, optimizer = fabric.setup(model, optimizer)
    exchange = colour_exchange(recipe.augmentation, train_set)
    state = _load_state(last, model, optimizer) if last.exists() else TrainState()

    saved = time.perf_counter()
    begun, seen = saved - state.seconds, state.seen  # time and images of earlier sittings count too
    foreground = baseline_dice(val_set)
    while state.epoch < recipe.epochs:
        epoch = state.epoch + 1
        torch.manual_seed(derive_seed("noise", seed, epoch))
        total, batches = 0.0, list(_batches(len(train_set), recipe, seed=seed, epoch=epoch))
        model.train()
        for step, positions in enumerate(batches):
            set_lr(optimizer, recipe, epoch - 1 + step / len(batches))
            generator = torch.Generator().manual_seed(derive_seed("augment", seed, epoch, step))
            x, y = _network_batch(train_set, positions, recipe, exchange, fabric.device, generator)
            loss = _step(wrapped, model, optimizer, recipe, criterion, fabric, x, y, generator)
            if not math.isfinite(loss):
                message = f"loss {loss} at epoch {epoch}, step {step + 1} of {len(batches)}"
                return _end(state, model, "diverged", message, begun, seen)
            total += loss * len(positions)
            seen += len(positions)
            on_step(epoch, step + 1, len(batches), loss, seen / (time.perf_counter() - begun))
        scores = validate(model, recipe, val_set, fabric)
        if not all(map(math.isfinite, scores.values())):
            return _end(state, model, "diverged", f"validation output is not a number after epoch {epoch}", begun, seen)
        row = {
            "epoch": epoch,
            "lr": optimizer.param_groups[0]["lr"],
            "train_loss": total / sum(map(len, batches)),
            **scores,
            **foreground,
        }
        state.history.append(row)
        state.epoch, state.seconds, state.seen = epoch, time.perf_counter() - begun, seen
        if recipe.select != "best" or scores[recipe.select_metric] > state.best_score:
            state.best_score, state.best_epoch = scores[recipe.select_metric], epoch
            state.best_weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
        on_epoch(row)
        if time.perf_counter() - saved > checkpoint_every_s and epoch < recipe.epochs:
            save_atomic(last, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), **vars(state)})
            saved = time.perf_counter()

    return _end(state, model, "ok", None, begun, seen)


def save_atomic(path: Path, payload: dict[str, Any]) -> None:
    """Write a checkpoint through a temporary file, fsync and rename."""
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                torch.save(payload, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except RuntimeError as error:  # torch's writer hides the operating system's error behind its own
            raise BenchError(f"cannot write {path}: {error}; is the disk full?") from error
        finally:
            temporary.unlink(missing_ok=True)


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


def _load_state(last: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainState:
    try:
        saved = torch.load(last, map_location="cpu", weights_only=True)
        model.load_state_dict(saved.pop("model"))
        optimizer.load_state_dict(saved.pop("optimizer"))
        return TrainState(**saved)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
        raise BenchError(f"{last}: cannot continue from it ({error}); use --if-exists overwrite") from None


def _end(state: TrainState, model: nn.Module, status: str, error: str | None, begun: float, seen: int) -> Outcome:
    if state.best_weights:
        model.load_state_dict(copy.copy(state.best_weights))
    seconds = time.perf_counter() - begun
    return Outcome(status, state.history, state.best_epoch, error, seconds, seen / max(seconds, 1e-9))
