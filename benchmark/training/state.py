"""The checkpoint of an unfinished training: content, times of writing, resuming."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.store.checkpoint import DamagedCheckpointError, load_state, save_state
from benchmark.training.average import Average

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECKPOINT_EVERY_S = 60.0


@dataclass
class TrainState:
    """Progress of a training; with weights, optimiser, scaler and generators everything needed to continue.

    Attributes:
        epoch: Finished epochs.
        step: Finished batches of the next epoch: the sampler's position, as an epoch's order is drawn from
            names.
        loss_sum: Sum over those batches of loss times images.
        best_epoch: The best epoch on validation so far, its score and its weights on the CPU.
        history: One row per epoch.
        seconds: Time spent training and validating, across interrupted runs.
        seen: Images that went through the network, across interrupted runs.
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
        """Images per second across interrupted runs."""
        return self.seen / max(self.seconds, 1e-9)

    def add_loss(self, loss: float, num_images: int, seconds: float) -> None:
        """Count the loss of one batch; ``step`` counts the batch itself, whose loss may be read later."""
        self.loss_sum += loss * num_images
        self.seen += num_images
        self.seconds = seconds

    def add_epoch(self, row: dict[str, float], seconds: float) -> None:
        """Count one epoch."""
        self.history.append(row)
        self.epoch, self.step, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, seconds


class Keeper:
    """Writes and reads ``last.pt`` of one cell; a thread writes a copy while training continues.

    Args:
        path: The file.
        owner: The cell's id; the state of another cell is never loaded.
        every_s: Seconds between two writes.
        say: Receives a warning if an existing file cannot be used.
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
        self._writer: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the writer; an error of the last write is raised unless training ends with its own."""
        try:
            self.finish()
        except Exception:
            if kind is None:
                raise

    def watch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        fabric: Fabric,
        average: Average | None = None,
    ) -> None:
        """Set the training whose state is kept."""
        self.model, self.optimizer, self.fabric, self.average = model, optimizer, fabric, average

    @property
    def is_due(self) -> bool:
        """Return whether it is time to write; False while the last write is running, whose error it raises."""
        if self._error is not None:
            self.finish()
        is_writing = self._writer is not None and self._writer.is_alive()
        return not is_writing and time.monotonic() - self._saved >= self.every_s

    def save(self, state: TrainState) -> None:
        """Copy everything to the CPU and write it atomically in the background."""
        self.finish()
        payload = _on_cpu(
            {
                "train": {f.name: getattr(state, f.name) for f in fields(state) if f.name != "best_weights"},
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.fabric.strategy.precision.state_dict(),
                "random": _random_state(self.fabric.device),
                **({"average": self.average.state_dict()} if self.average is not None else {}),
            }
        )
        payload["train"]["best_weights"] = state.best_weights  # on the CPU, and never modified
        self._writer = threading.Thread(target=self._write, args=(payload,), name="checkpoint")
        self._writer.start()
        self._saved = time.monotonic()

    def finish(self) -> None:
        """Wait until the current write is on disk.

        Raises:
            BenchError: It could not be written.
        """
        if self._writer is not None:
            self._writer.join()
        self._writer, error, self._error = None, self._error, None
        if error is not None:
            raise error

    def _write(self, payload: dict[str, Any]) -> None:
        try:
            save_state(self.path, payload, owner=self.owner)
        except BaseException as error:  # raised at the training's next check
            self._error = error

    def load(self) -> TrainState:
        """Resume from disk; start from the beginning if there is no valid state."""
        if not self.path.exists():
            return TrainState()
        try:
            saved = load_state(self.path, owner=self.owner)
            state = TrainState(**saved["train"])
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.fabric.strategy.precision.load_state_dict(saved["scaler"])
            if self.average is not None:
                self.average.load_state_dict(saved["average"])
            _set_random_state(saved["random"], self.fabric.device)
        except DamagedCheckpointError as error:
            self.say(f"warning: {error}; training starts again from the beginning")
            return TrainState()
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise BenchError(
                f"{self.path}: written by a different version of the network or of this package ({reason}); "
                "start again with --if-exists overwrite"
            ) from None
        return state


class Follower(Keeper):
    """Resumes from the state of the first of several processes, and leaves writing to it."""

    @property
    def is_due(self) -> bool:
        """Never."""
        return False

    def save(self, state: TrainState) -> None:
        """Nothing."""


def _on_cpu(tree: Any) -> Any:
    """Return a copy with tensors on the CPU that share no memory with the training."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {key: _on_cpu(value) for key, value in tree.items()}
    return type(tree)(map(_on_cpu, tree)) if isinstance(tree, (list, tuple)) else tree


def _random_state(device: torch.device) -> dict[str, Any]:
    """Return the states of the CPU's generator and of the training's device, whatever its number."""
    own = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "device": own}


def _set_random_state(state: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    own = state.get("device")
    if own is not None and device.type == "cuda":
        torch.cuda.set_rng_state(own, device)
