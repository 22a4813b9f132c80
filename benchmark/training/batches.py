"""The batches of an epoch: which images, in which form.

Positions and every draw of augmentation come from names (seed, epoch, step), so all ways to prepare a batch give the
same one: in line on a CPU; on a GPU gathered and augmented there, or cut by a thread while the step before runs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark.config import Recipe, derive_seed
from benchmark.data.pixels import transforms
from benchmark.data.pixels.colour import COLOUR_PIECES, ColourExchange, colour_exchange
from benchmark.data.pixels.draws import Draws, Rows
from benchmark.data.pixels.noise import draw_noise
from benchmark.data.pixels.pool import Pool
from benchmark.data.pixels.turning import leading, turn, turn_on_device
from benchmark.training.image_transforms import ImageTransforms
from benchmark.training.resident import Resident
from benchmark.training.share import Share

_AHEAD = 2  # batches that wait for the GPU


@dataclass(frozen=True)
class Batch:
    """One batch as the network takes it.

    Attributes:
        step: Step of the epoch, from 0.
        images: (B, 3, S, S) float32, normalised; masks: (B, 1, S, S) in [0, 1]; this process's share.
        num_images: Images of the whole batch.
        generator: Generator of the step's further draws.
    """

    step: int
    images: Tensor
    masks: Tensor
    num_images: int
    generator: torch.Generator


def epoch_positions(count: int, recipe: Recipe, *, seed: int, epoch: int) -> list[np.ndarray]:
    """Positions of one epoch, shuffled; a last batch of a single image joins the one before (batch norm needs two)."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed("order", seed, epoch))).numpy()
    cuts = list(range(recipe.batch_size, count, recipe.batch_size))
    parts = np.split(order, cuts)
    short = len(parts) > 1 and len(parts[-1]) < recipe.batch_size
    if short and recipe.drop_last:
        parts = parts[:-1]
    elif short and len(parts[-1]) == 1:
        parts = [*parts[:-2], np.concatenate(parts[-2:])]
    return parts


class Batches:
    """Prepares batches of a training set for one process.

    Args:
        train_set: Pixels.
        recipe: Names the augmentation.
        device: Where the network is.
        share: Which rows of each batch are this process's.
        resident: Pixels of ``train_set`` on the device, if they are there.
    """

    def __init__(
        self, train_set: Pool, recipe: Recipe, device: torch.device, share: Share, resident: Resident | None = None
    ) -> None:
        self.pixels: Pool | Resident = resident or train_set
        self.device, self.share = device, share
        self.crop_size, self.normalize = recipe.image_size, recipe.normalize
        self.noise = recipe.noise
        self.transforms = ImageTransforms(recipe.transforms) if recipe.transforms else None
        self.exchange: ColourExchange | None = colour_exchange(recipe.augmentation, train_set)
        pieces = [piece for piece in recipe.augmentation if piece not in COLOUR_PIECES]
        early = 0 if self.exchange is not None else leading(pieces)
        self.early, self.late = pieces[:early], pieces[early:]

    @property
    def way(self) -> str:
        """Describe how batches are prepared, for the record."""
        return "resident" if isinstance(self.pixels, Resident) else "in line" if self._is_here else "ahead"

    def of_epoch(self, positions: Sequence[np.ndarray], *, first: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from step ``first`` on."""
        steps = range(first, len(positions))
        if self.way != "ahead":
            for step in steps:
                yield self._finish(step, *self._begin(positions[step], seed, epoch, step))
            return
        with closing(_Ahead(lambda step: self._begin(positions[step], seed, epoch, step), steps)) as ahead:
            for step in steps:
                yield self._finish(step, *ahead.next())

    def one(self, positions: np.ndarray, *, seed: int, epoch: int, step: int) -> Batch:
        """Return a single batch, prepared in this thread."""
        return self._finish(step, *self._begin(positions, seed, epoch, step))

    @property
    def _is_here(self) -> bool:
        return self.device.type == "cpu"

    def _begin(self, positions: np.ndarray, seed: int, epoch: int, step: int) -> _Begun:
        """The part that touches bytes only; on the CPU but for resident pixels."""
        generator = torch.Generator().manual_seed(derive_seed("augment", seed, epoch, step))
        rows = self.share.rows(len(positions))
        mine = positions[rows.slice]
        images, masks = self.pixels.batch(mine)
        if self.noise:
            images = draw_noise(images, self.noise, Draws(generator, rows))
        if self.transforms is not None:
            images, masks = self.transforms(images, masks, Draws(generator, rows))
        move = turn_on_device if isinstance(self.pixels, Resident) else turn
        images, masks = move(images, masks, self.early, generator=generator, rows=rows)
        if self.way == "ahead" and self.device.type == "cuda" and torch.cuda.is_available():
            images, masks = images.pin_memory(), masks.pin_memory()
        return images, masks, mine, generator, rows

    def _finish(
        self, step: int, images: Tensor, masks: Tensor, mine: np.ndarray, generator: torch.Generator, rows: Rows
    ) -> Batch:
        """The part that computes in floats, on the device."""
        if not isinstance(self.pixels, Resident):
            images, masks = (pixels.to(self.device, non_blocking=True) for pixels in (images, masks))
        x, y = transforms.to_float(images, masks, planar="rot90" in self.early and self._is_here)
        if self.exchange is not None:
            x = self.exchange(x, mine, generator, rows)
        x, y = transforms.augment(x, y, self.late, crop_size=self.crop_size, generator=generator, rows=rows)
        return Batch(step, transforms.normalize(x, self.normalize), y, rows.count, generator)


_Begun = tuple[Tensor, Tensor, np.ndarray, torch.Generator, Rows]


class _Ahead:
    """A thread that prepares batches in advance, a few at a time."""

    def __init__(self, begin: Callable[[int], _Begun], steps: Sequence[int]) -> None:
        self._begin, self._steps = begin, steps
        self._ready: queue.Queue[_Begun | BaseException] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def next(self) -> _Begun:
        """Return the next batch; raise the error of preparing it."""
        begun = self._ready.get()
        if isinstance(begun, BaseException):
            raise begun
        return begun

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()

    def _work(self) -> None:
        for step in self._steps:
            try:
                begun: _Begun | BaseException = self._begin(step)
            except BaseException as error:  # raised by the loop
                begun = error
            while not self._closed.is_set():
                try:
                    self._ready.put(begun, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if self._closed.is_set() or isinstance(begun, BaseException):
                return
