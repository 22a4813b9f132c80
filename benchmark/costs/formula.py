"""The formula of a study's cost, in plain numbers; nothing here measures or reads anything.

    cell = epochs x train x (step + load) + epochs x val x (forward + validate) + test x (forward + predict + score)

in seconds, with ``train``, ``val`` and ``test`` in images. ``step`` (forward, loss, backward) and ``forward`` are
seconds per image on the device: measured there, or multiply-adds / (peak x utilisation). The others are the host's.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmark.config import Recipe


@dataclass(frozen=True)
class Work:
    """Images that one cell sees, over its whole training.

    Attributes:
        train: Training images times epochs; a batch at another scale counts by its pixels.
        val: Validation images times epochs.
        test: Test images, once.
    """

    train: float
    val: float
    test: float


@dataclass(frozen=True)
class Speed:
    """Seconds per image of a training step and of a forward pass, on one device."""

    step_s: float
    forward_s: float


@dataclass(frozen=True)
class Host:
    """Seconds per image of what the processor does around the network."""

    load_s: float
    validate_s: float
    predict_s: float
    score_s: float


def cell_work(recipe: Recipe, *, train: int, val: int, tests: Mapping[str, int]) -> Work:
    """Count the images of one cell.

    Args:
        recipe: Resolved settings.
        train: Training images of the split; the validation images join them where ``select`` says so.
        val: Validation images of the split.
        tests: Images by test set.
    """
    num_train = min(train + (val if recipe.trains_on_all else 0), recipe.max_train_images or math.inf)
    if recipe.drop_last and num_train > recipe.batch_size:
        num_train -= num_train % recipe.batch_size
    picking = [tests.get(name, 0) for name in recipe.test_selection] or [val]
    num_val = sum(min(count, recipe.max_val_images or math.inf) for count in picking)
    num_test = sum(min(count, recipe.max_test_images or math.inf) for count in tests.values())
    return Work(recipe.epochs * num_train * scale_factor(recipe), recipe.epochs * num_val, num_test)


def in_training_images(work: Work) -> float:
    """Return work in training images: a forward pass without a backward one is a third of a step."""
    return work.train + (work.val + work.test) / 3


def scale_factor(recipe: Recipe) -> float:
    """Pixels that a training image costs over its batches at all scales, relative to one at ``image_size``."""
    if recipe.multi_scale == "none":
        return 1.0
    areas = [(max(32, round(recipe.image_size * f / 32) * 32) / recipe.image_size) ** 2 for f in recipe.scales]
    if recipe.multi_scale == "each":
        return sum(areas)
    weights = recipe.scale_weights or (1.0,) * len(areas)
    return sum(w * a for w, a in zip(weights, areas, strict=True)) / sum(weights)


def assumed_speed(*, step_gmacs: float, forward_gmacs: float, peak_tflops: float, utilisation: float) -> Speed:
    """Seconds per image at a share of a device's peak; one multiply-add is two operations."""
    gmacs_per_s = peak_tflops * 1e3 / 2 * utilisation
    return Speed(step_gmacs / gmacs_per_s, forward_gmacs / gmacs_per_s)


def cell_seconds(work: Work, speed: Speed, host: Host) -> float:
    """Seconds of one cell on one device."""
    train = work.train * (speed.step_s + host.load_s)
    val = work.val * (speed.forward_s + host.validate_s)
    test = work.test * (speed.forward_s + host.predict_s + host.score_s)
    return train + val + test


def makespan(seconds: Iterable[float], devices: int) -> float:
    """Time until the last cell ends: each, longest first, goes to the device that is free first.

    Cells are independent and none is divided, so more devices than cells help nothing, and the longest cell is a bound.
    """
    free = [0.0] * devices
    for cell in sorted(seconds, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + cell)
    return max(free)


def memory_mb(*, num_params: int, kept_mb: float, batch: int) -> float:
    """MB (2**20) that a training needs at least: weights, gradients and Adam's two moments in float32, and what
    autograd keeps of a batch. Workspaces and fragmentation come on top."""
    return num_params * 16 / 2**20 + kept_mb * batch
