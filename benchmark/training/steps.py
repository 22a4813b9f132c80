"""One optimiser step, in as many passes as the memory asks for.

A batch may be cut into micro-batches whose gradients are added up, each weighted by its share of the images, so that
the gradient is that of the whole batch for every loss that is a mean over images (all of this package's are). Two
things see the micro-batch only: batch norm's statistics, and a loss of one's own that mixes the images of a batch, such
as a Dice over all its pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.data.pixels import transforms
from benchmark.errors import BenchError
from benchmark.runtime.compute import Compute, explain_compiler, give_back
from benchmark.training.batch_norm import synchronised
from benchmark.training.losses import get_criterion, training_loss
from benchmark.training.share import Share
from benchmark.training.state import TrainState

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EXPLODED = 1e6
"""A finite loss above this has exploded: the losses here start below ten and grow no faster than the logits."""
LEAST_SCALE = 1.0
"""A loss scaler below this has halved its scale at every step: the gradients overflow half precision as they are."""


class TooLargeError(BenchError):
    """One image at a time does not fit the memory."""


class DivergedError(Exception):
    """The training has left the numbers; the message says what was not finite or too great.

    ``earlier``: whether it was the batch before that did it, which left weights that are not finite.
    """

    def __init__(self, message: str, *, earlier: bool = False) -> None:
        super().__init__(message)
        self.earlier = earlier


@dataclass
class Stepper:
    """Takes the optimiser steps of a training.

    Attributes:
        network: The model as Fabric wrapped it.
        model: The same, bare.
        state: Its ``micro_batch`` is what fits the memory; halved here, and kept in ``last.pt``.
        say: Told in one line when the memory is short.
        share: Which images of a batch are this process's, where several train.
    """

    network: Any
    model: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    fabric: Fabric
    compute: Compute
    state: TrainState
    say: Callable[[str], None] = print
    share: Share = field(default_factory=Share)

    def __post_init__(self) -> None:
        self.criterion = get_criterion(self.recipe.loss)
        if self.state.micro_batch is None:
            self.state.micro_batch = self.recipe.micro_batch

    def __call__(self, x: Tensor, y: Tensor, generator: torch.Generator, *, count: int | None = None) -> float:
        """Train on one batch: one optimiser step per scale.

        Args:
            x: Images, (B, 3, S, S); this process's share.
            y: Masks, (B, 1, S, S).
            generator: Draws the scale.
            count: Images of the whole batch; unset: these are all.
        Returns:
            The mean loss over the scales.
        Raises:
            DivergedError: The loss is not finite or above ``EXPLODED``, or half precision cannot hold the gradients.
            TooLargeError: One image at a time does not fit the memory.
        """
        losses: list[float] = []
        count = count or len(x)
        for factor in _scales(self.recipe, generator):
            corners, nearest = self.recipe.multi_scale == "each", self.recipe.masks == "nearest"
            scaled, mask = transforms.scale_batch(x, y, factor, align_corners=corners, nearest_masks=nearest)
            if self.compute.channels_last:
                scaled = scaled.to(memory_format=torch.channels_last)
            try:
                losses.append(self._gradients_that_fit(scaled, mask, count))
            except DivergedError as error:
                error.earlier = not losses and not _is_finite(self.model)
                raise
            self._clip()
            self.optimizer.step()
            self._check_scaler()
        return sum(losses) / len(losses)

    def _gradients_that_fit(self, x: Tensor, y: Tensor, count: int) -> float:
        """Leave the gradients in the parameters, by smaller passes where the memory is short; return the loss."""
        while True:
            restore = self._remember()
            try:
                return self._gradients(x, y, count)
            except torch.OutOfMemoryError:
                if self.fabric.world_size > 1:
                    raise  # the other processes wait for this one's gradients of the same pass
            # outside the handler, whose traceback holds the activations
            self.optimizer.zero_grad(set_to_none=True)
            restore()
            give_back()
            self._halve(x)

    def _gradients(self, x: Tensor, y: Tensor, count: int) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        total, weight = 0.0, self.share.weight(count)
        parts = self.share.num_passes(count, self.state.micro_batch)
        passes = list(zip(*_even_parts(x, y, parts=parts), strict=True))
        for number, (images, masks) in enumerate(passes, start=1):
            part = len(images) / len(x)
            with self.fabric.no_backward_sync(self.network, enabled=number < len(passes)):
                with explain_compiler(), synchronised(self.fabric):
                    outputs = self.network(images)
                with self.fabric.autocast():
                    loss = training_loss(self.model, outputs, masks, self.criterion)
                value = self.share.mean(float(loss.detach()) * part, count, self.fabric.device)
                if not abs(value) * len(passes) <= EXPLODED:  # the same for all processes, so that none waits
                    raise DivergedError(f"loss {value * len(passes):g}")
                factor = part * weight
                self.fabric.backward(loss if factor == 1 else loss * factor)
            total += value
        return total

    def _clip(self) -> None:
        recipe = self.recipe
        if recipe.clip_value is not None:
            self.fabric.clip_gradients(self.network, self.optimizer, clip_val=recipe.clip_value)
        if recipe.clip_norm is not None:  # an infinite norm shows in the weights, or is the scaler's to skip
            norm = recipe.clip_norm
            self.fabric.clip_gradients(self.network, self.optimizer, max_norm=norm, error_if_nonfinite=False)

    def _check_scaler(self) -> None:
        """A scaler skips steps whose gradients overflow, and scales less from then on; there is an end to that."""
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        if scaler is not None and scaler.get_scale() < LEAST_SCALE:
            raise DivergedError(f"gradients overflow half precision at loss scale {scaler.get_scale():g}")

    def _remember(self) -> Callable[[], None]:
        """Return what sets batch norm's running statistics and the random states back to what they are now."""
        device = self.fabric.device
        buffers = [(buffer, buffer.detach().clone()) for buffer in self.model.buffers()]
        cpu = torch.get_rng_state()
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

        def restore() -> None:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            torch.set_rng_state(cpu)
            if cuda is not None:
                torch.cuda.set_rng_state(cuda, device)

        return restore

    def _halve(self, x: Tensor) -> None:
        state, count = self.state, len(x)
        tried = min(state.micro_batch or count, count)
        where = f"epoch {state.epoch + 1}, step {state.step + 1}"
        if tried == 1:
            raise TooLargeError(
                f"out of GPU memory at {where} with one {x.shape[-1]} px image at a time ({self.compute.precision}); "
                "train at a smaller image_size, with precision = bf16-mixed, or on another card"
            )
        state.micro_batch = (tried + 1) // 2
        state.out_of_memory.append({"epoch": state.epoch + 1, "step": state.step + 1, "micro_batch": state.micro_batch})
        self.say(
            f"out of GPU memory at {where}: {tried} images a pass do not fit, {state.micro_batch} are tried; "
            f"the batch stays {self.recipe.batch_size}"
        )


def _is_finite(model: nn.Module) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


def _even_parts(*tensors: Tensor, parts: int) -> list[tuple[Tensor, ...]]:
    """Cut each tensor along the batch into parts of nearly equal size."""
    return [tensor.tensor_split(parts) if parts > 1 else (tensor,) for tensor in tensors]


def _scales(recipe: Recipe, generator: torch.Generator) -> list[float]:
    if recipe.multi_scale == "each":
        return list(recipe.scales)
    if recipe.multi_scale == "none":
        return [1.0]
    weights = torch.tensor(recipe.scale_weights or [1.0] * len(recipe.scales))
    return [recipe.scales[int(torch.multinomial(weights, 1, generator=generator))]]
