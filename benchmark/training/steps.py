"""One optimiser step, in as many passes as memory requires, without waiting for the device.

A batch may be cut into micro-batches whose gradients are added up, each weighted by its share of the images, so that
the gradient is that of the whole batch for every loss that is a mean over images (all of this package's are). Two
things see the micro-batch only: batch norm's statistics, and a user's loss that mixes the images of a batch, such as a
Dice over all its pixels.

On a GPU nothing here reads a number back: losses, the finiteness of the weights and the loss scale stay on the device
and go to the ``Ledger``, which reads them some steps later.
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
from benchmark.runtime.compute import Compute, explain_compiler
from benchmark.runtime.memory import give_back, is_out_of_memory
from benchmark.training.batch_norm import synchronised
from benchmark.training.ledger import DivergedError, StepResult, has_exploded
from benchmark.training.losses import make_loss, recipe_criterion
from benchmark.training.restore import Snapshot
from benchmark.training.share import Share
from benchmark.training.state import TrainState

if TYPE_CHECKING:
    from lightning_fabric import Fabric


AT_ONCE = ("cpu",)
"""Devices whose numbers are in host memory and can be read at once."""


class TooLargeError(BenchError):
    """Even a single image does not fit into memory."""


@dataclass
class Stepper:
    """Takes the optimiser steps of a training.

    Attributes:
        network: The model as Fabric wrapped it.
        model: The same, bare.
        state: Its ``micro_batch`` fits the memory; halved here, and kept in ``last.pt``.
        say: Receives one line when memory runs out.
        share: Which images of a batch are this process's, where several train.
    """

    network: Any
    model: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    fabric: Fabric
    compute: Compute
    state: TrainState
    say: Callable[[str], None]
    share: Share = field(default_factory=Share)

    def __post_init__(self) -> None:
        self.loss = make_loss(self.model, recipe_criterion(self.recipe))
        self.snapshot = Snapshot(self.model, self.fabric.device)
        self.parameters: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.reads_at_once = self.fabric.device.type in AT_ONCE
        self.exact = torch.float32 if self.fabric.device.type == "mps" else torch.float64  # MPS has no other
        if self.state.micro_batch is None:
            self.state.micro_batch = self.recipe.micro_batch

    def __call__(self, x: Tensor, y: Tensor, generator: torch.Generator, *, count: int | None = None) -> StepResult:
        """Train on one batch: one optimiser step per scale.

        Args:
            x: Images, (B, 3, S, S); this process's share.
            y: Masks, (B, 1, S, S).
            generator: Draws the scale.
            count: Images of the whole batch; unset: these are all.
        Returns:
            Its results, for the ledger.
        Raises:
            DivergedError: On a CPU: the loss is not finite or above ``EXPLODED``. Elsewhere the ledger raises it.
            TooLargeError: One image at a time does not fit the memory.
        """
        losses: list[list[Tensor]] = []
        count = count or len(x)
        for factor in _scales(self.recipe, generator):
            corners, nearest = self.recipe.multi_scale == "each", self.recipe.masks == "nearest"
            scaled, mask = transforms.scale_batch(x, y, factor, align_corners=corners, nearest_masks=nearest)
            if self.compute.channels_last:
                scaled = scaled.to(memory_format=torch.channels_last)
            try:
                losses.append(self._gradients_that_fit(scaled, mask, count))
            except DivergedError as error:
                error.earlier = not losses and not bool(_are_finite(self.parameters))
                raise
            self._clip()
            self.optimizer.step()
        return StepResult(losses, None if self.reads_at_once else _are_finite(self.parameters), self._scale(x))

    def _gradients_that_fit(self, x: Tensor, y: Tensor, count: int) -> list[Tensor]:
        """Compute the gradients, in smaller passes if memory is short; return the losses."""
        while True:
            self.snapshot.take()
            try:
                return self._gradients(x, y, count)
            except RuntimeError as error:
                if not is_out_of_memory(error) or self.fabric.world_size > 1:
                    raise  # the other processes wait for this one's gradients of the same pass
            # outside the handler, whose traceback holds the activations
            self.optimizer.zero_grad(set_to_none=True)
            self.snapshot.restore()
            give_back()
            self._halve(x)

    def _gradients(self, x: Tensor, y: Tensor, count: int) -> list[Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        weight = self.share.weight(count)
        parts = self.share.num_passes(count, self.state.micro_batch)
        passes = list(zip(*_even_parts(x, y, parts=parts), strict=True))
        values = []
        for number, (images, masks) in enumerate(passes, start=1):
            part = len(images) / len(x)
            if self.compute.compile == "cuda-graphs":
                torch.compiler.cudagraph_mark_step_begin()
            with self.fabric.no_backward_sync(self.network, enabled=number < len(passes)):
                with explain_compiler(), synchronised(self.fabric):
                    outputs = self.network(images)
                with self.fabric.autocast():
                    loss = self.loss(outputs, masks)
                values.append(self.share.mean(loss.detach().to(self.exact) * part, count))
                if self.reads_at_once:  # the same for all processes, so that none waits
                    _refuse_exploded(float(values[-1]), len(passes))
                factor = part * weight
                self.fabric.backward(loss if factor == 1 else loss * factor)
        return values

    def _clip(self) -> None:
        """Clip as the recipe says, of a loss scaler's gradients the unscaled ones."""
        recipe, scaler = self.recipe, self._scaler
        if recipe.clip_value is None and recipe.clip_norm is None:
            return
        if scaler is not None:  # not Fabric's, which refuses fused optimisers
            scaler.unscale_(getattr(self.optimizer, "optimizer", self.optimizer))
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        if recipe.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, recipe.clip_value)
        if recipe.clip_norm is not None:  # an infinite norm shows in the weights, or the scaler skips the step
            nn.utils.clip_grad_norm_(parameters, recipe.clip_norm, error_if_nonfinite=False)

    @property
    def _scaler(self) -> Any:
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def _scale(self, like: Tensor) -> Tensor | None:
        """The loss scale, left on the device; a scaler skips steps whose gradients overflow, and scales less then."""
        scaler = self._scaler
        return None if scaler is None else scaler.scale(like.new_ones(()))

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


@torch.no_grad()
def _are_finite(parameters: list[Tensor]) -> Tensor:
    """Whether all numbers of all tensors are finite: () bool on their device, in a few launches."""
    return torch.stack(torch._foreach_norm(parameters, float("inf"))).isfinite().all()


def _refuse_exploded(value: float, num_passes: int) -> None:
    if has_exploded(value, num_passes):
        raise DivergedError(f"loss {value * num_passes:g}")


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
