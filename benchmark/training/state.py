"""The running state of a training: what it holds, when it is written, how it is taken up again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.store.checkpoint import DamagedCheckpointError, load_state, save_state

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECKPOINT_EVERY_S = 60.0


@dataclass
class TrainState:
    """Where a training stands; with weights, optimiser, scaler and generators all that going on needs.

    Attributes:
        epoch: Whole epochs behind us.
        step: Batches of the next epoch that are behind us: the sampler's position, as an epoch's order is drawn from
            names.
        loss_sum: Sum over those batches of loss times images.
        best_epoch: The epoch that validation prefers so far, its score and its weights on the CPU.
        history: One row per epoch.
        seconds: Time spent training and validating, over all sittings.
        seen: Images that went through the network, over all sittings.
        micro_batch: Images per pass, where a batch is cut into several.
        out_of_memory: When that was halved: epoch, step and the new number.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best_epoch: int = 0
    best_score: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    seen: int = 0
    micro_batch: int | None = None
    out_of_memory: list[dict[str, int]] = field(default_factory=list)

    @property
    def images_per_s(self) -> float:
        """Images per second over all sittings."""
        return self.seen / max(self.seconds, 1e-9)

    def add_step(self, loss: float, num_images: int, seconds: float) -> None:
        """Count one batch."""
        self.step += 1
        self.loss_sum += loss * num_images
        self.seen += num_images
        self.seconds = seconds

    def add_epoch(self, row: dict[str, float], seconds: float) -> None:
        """Count one epoch."""
        self.history.append(row)
        self.epoch, self.step, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, seconds


class Keeper:
    """Writes and reads ``last.pt`` of one cell.

    Args:
        path: The file.
        owner: The cell's id; the state of another cell is never taken up.
        every_s: Seconds between two writes.
        say: Told when a file is there that cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        owner: str,
        every_s: float = CHECKPOINT_EVERY_S,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.owner, self.every_s, self.say = path, owner, every_s, say
        self._saved = time.monotonic()

    def watch(self, model: nn.Module, optimizer: torch.optim.Optimizer, fabric: Fabric) -> None:
        """Say whose state is kept."""
        self.model, self.optimizer, self.fabric = model, optimizer, fabric

    @property
    def is_due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._saved >= self.every_s

    def save(self, state: TrainState) -> None:
        """Write everything, atomically."""
        save_state(
            self.path,
            {
                "train": {f.name: getattr(state, f.name) for f in fields(state)},
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.fabric.strategy.precision.state_dict(),
                "random": _random_state(),
            },
            owner=self.owner,
        )
        self._saved = time.monotonic()

    def load(self) -> TrainState:
        """Take up what is on disk; begin anew where there is nothing, or nothing that can be trusted."""
        if not self.path.exists():
            return TrainState()
        try:
            saved = load_state(self.path, owner=self.owner)
            state = TrainState(**saved["train"])
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.fabric.strategy.precision.load_state_dict(saved["scaler"])
            _set_random_state(saved["random"])
        except DamagedCheckpointError as error:
            self.say(f"warning: {error}; training starts again from the beginning")
            return TrainState()
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise BenchError(
                f"{self.path}: written by another version of the network or of this package ({reason}); "
                "start again with --if-exists overwrite"
            ) from None
        return state


class Follower(Keeper):
    """Takes up what the first of several processes takes up, and leaves writing to it."""

    @property
    def is_due(self) -> bool:
        """Never."""
        return False

    def save(self, state: TrainState) -> None:
        """Nothing."""


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
