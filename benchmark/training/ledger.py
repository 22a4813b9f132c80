"""Losses of steps, read from the device some steps later, so that no step waits for its own."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

EXPLODED = 1e6
"""A finite loss above this has exploded: the losses here start below ten and grow no faster than the logits."""
LEAST_SCALE = 1.0
"""A loss scaler below this has halved its scale at every step: the gradients themselves overflow half precision."""
LAG = 16
"""Steps between a loss and its reading on a GPU: at most this many are queued there, and none waits for Python."""


class DivergedError(Exception):
    """Training diverged; the message says what was not finite or too large.

    Attributes:
        earlier: Whether the previous batch caused it, leaving weights that are not finite.
        step: The step of the epoch at which it showed, from 0; None: the current one.
    """

    def __init__(self, message: str, *, earlier: bool = False, step: int | None = None) -> None:
        super().__init__(message)
        self.earlier, self.step = earlier, step


@dataclass(frozen=True)
class StepResult:
    """Results of one optimiser step on the device.

    Attributes:
        passes: Per scale, the loss of each pass times its share of the images: () float64.
        finite: () bool: whether all weights are finite after the step; None if not checked.
        scale: () loss scale after the step; None without a scaler.
    """

    passes: list[list[Tensor]]
    finite: Tensor | None = None
    scale: Tensor | None = None


@dataclass(frozen=True)
class StepLoss:
    """A loss that has been read: which step of the epoch (from 0), how many images, the mean over its scales."""

    step: int
    num_images: int
    loss: float


class Ledger:
    """Takes the results of an epoch's steps and returns their losses, in order.

    On a CPU a result is read at once. On a GPU it is copied asynchronously and read ``lag`` steps later; the number is
    fixed, so that several processes stop at the same step.

    Args:
        device: Device of the results.
        lag: Steps on a GPU.
    """

    def __init__(self, device: torch.device, *, lag: int = LAG) -> None:
        self._cuda = device.type == "cuda"
        self._lag = lag if device.type != "cpu" else 0
        self._waiting: deque[_Entry] = deque()
        self._was_finite = True

    def add(self, step: int, num_images: int, result: StepResult) -> None:
        """Take a step's result; on a GPU its copy to the host is queued behind the step."""
        self._waiting.append(_Entry(step, num_images, result, self._cuda))

    def due(self) -> list[StepLoss]:
        """Read the losses that are old enough.

        Raises:
            DivergedError: One of them is not finite or above ``EXPLODED``, or the loss scale cannot be halved further.
        """
        return [self._read(self._waiting.popleft()) for _ in range(len(self._waiting) - self._lag)]

    def drain(self) -> list[StepLoss]:
        """Read all that is left, waiting for the device; raises as ``due`` does."""
        return [self._read(self._waiting.popleft()) for _ in range(len(self._waiting))]

    def _read(self, entry: _Entry) -> StepLoss:
        scales, finite, scale = entry.values()
        losses: list[float] = []
        for passes in scales:
            for value in passes:
                if has_exploded(value, len(passes)):
                    earlier = not losses and not self._was_finite
                    raise DivergedError(f"loss {value * len(passes):g}", earlier=earlier, step=entry.step)
            losses.append(_added(passes))
        self._was_finite = finite
        if scale < LEAST_SCALE:
            raise DivergedError(f"gradients overflow half precision at loss scale {scale:g}", step=entry.step)
        return StepLoss(entry.step, entry.num_images, sum(losses) / len(losses))


def has_exploded(value: float, num_passes: int) -> bool:
    """Whether a pass's part of a loss is not finite, or the whole loss would be above ``EXPLODED``."""
    return not abs(value) * num_passes <= EXPLODED


class _Entry:
    """One step's numbers, copied to the host at once."""

    def __init__(self, step: int, num_images: int, result: StepResult, cuda: bool) -> None:
        self.step, self.num_images = step, num_images
        self._sizes = [len(passes) for passes in result.passes]
        values = [value for passes in result.passes for value in passes]
        flags = [flag.to(values[0].dtype) for flag in (result.finite, result.scale) if flag is not None]
        self._has = result.finite is not None, result.scale is not None
        self._numbers = torch.stack(values + flags)
        self._event: Any = None
        if cuda:
            self._numbers = self._numbers.to("cpu", non_blocking=True)  # torch uses pinned memory for it
            self._event = torch.cuda.Event()
            self._event.record()

    def values(self) -> tuple[list[list[float]], bool, float]:
        """Per scale the passes' values; whether the weights were finite; the loss scale, infinite without a scaler."""
        if self._event is not None:
            self._event.synchronize()
        numbers = iter(self._numbers.tolist())
        scales = [[next(numbers) for _ in range(size)] for size in self._sizes]
        finite = bool(next(numbers)) if self._has[0] else True
        return scales, finite, next(numbers) if self._has[1] else math.inf


def _added(values: list[float]) -> float:
    total = 0.0
    for value in values:  # not sum(), which from Python 3.12 on rounds otherwise
        total += value
    return total
