"""Hold the harness' training against a bare loop, and time its input pipeline and its validation, on one core.

    python tests/perf/bench_training.py [--model unet] [--size 256] [--batch 4] [--steps 8]

1. Training: `benchmark.training.loop` on a pixel cache on disk, with flips and quarter turns, and between every two of
   its steps one step of a bare loop: the same network and optimiser, a batch that lies in memory, forward + backward +
   step. The ratio is that of the median steps (limit: 0.97 of the bare loop's images/s).
2. Input: a batch of 16 from the cache, flipped, turned, as normalised floats; the best of 31 (limit: 1,500 images/s
   at 256 px).
3. Validation: what scoring costs beside the forward pass.

Processor time of one thread, not wall time: another process on the machine then costs cache, not minutes. Exits with 1
where a limit is missed.
"""

import argparse
import copy
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from benchmark.config import Recipe, derive_seed
from benchmark.data.pixels.pool import Pool, Subset
from benchmark.models.registry import build_model
from benchmark.prediction.maps import predict_maps
from benchmark.training.loop import _network_batch, train
from benchmark.training.losses import get_criterion, training_loss
from benchmark.training.optim import make_optimizer
from benchmark.training.share import Share
from benchmark.training.state import Keeper
from benchmark.training.validate import dice_curve, validate

LEAST_RATIO, LEAST_RATE = 0.97, 1500.0
FLIPS = ("hflip", "vflip", "rot90")


def main() -> int:
    """Print the three parts; 0 if both limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unet", help="a name of the registry")
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=4, help="images per step")
    parser.add_argument("--steps", type=int, default=8, help="timed steps; one more warms up")
    parser.add_argument("--only", choices=("input", "training", "validation"), help="one part of the three")
    args = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe(image_size=args.size, batch_size=args.batch, epochs=1, augmentation=FLIPS, select="last")
    with tempfile.TemporaryDirectory() as folder:
        pool = _pool(Path(folder), args.size, args.batch * (args.steps + 1))
        kept = True
        if args.only in (None, "input"):
            kept &= _rate(pool, args.size)
        if args.only in (None, "training"):
            kept &= _training(args.model, recipe, pool, Path(folder))
        if args.only in (None, "validation"):
            _validation(args.model, recipe, pool)
    return int(not kept)


def _pool(folder: Path, size: int, count: int) -> Pool:
    """A pixel cache on disk, as training reads it."""
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8))
    np.save(folder / "masks.npy", (rng.random((count, size, size)) > 0.8).astype(np.uint8) * 255)
    kinds = {kind: np.load(folder / f"{kind}.npy", mmap_mode="r") for kind in ("images", "masks")}
    return Pool([Subset(SimpleNamespace(**kinds), np.arange(count))])


def _batch(pool: Pool, order: np.ndarray, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What training gives to the network."""
    return _network_batch(pool, order, recipe, None, torch.device("cpu"), generator, Share().rows(len(order)))


def _rate(pool: Pool, size: int) -> bool:
    order = np.random.default_rng(1).permutation(len(pool))[:16]
    kept = True
    for pieces in ((), FLIPS, (*FLIPS, "jitter")):
        recipe = Recipe(image_size=size, augmentation=pieces)

        def batch(recipe: Recipe = recipe) -> tuple[Tensor, Tensor]:
            generator = torch.Generator().manual_seed(0)
            return _batch(pool, order, recipe, generator)

        rate = len(order) / min(_times(batch, 31))  # the best: what other processes take is not ours
        limit = f"  (limit {LEAST_RATE:,.0f})" if pieces == FLIPS and size == 256 else ""
        print(f"input      {rate:8,.0f} images/s at {size} px: {', '.join(pieces) or 'nothing'}, normalised{limit}")
        kept &= not limit or rate >= LEAST_RATE
    return kept


def _training(name: str, recipe: Recipe, pool: Pool, folder: Path) -> bool:
    torch.manual_seed(0)
    model = build_model(name)
    bare = _bare_step(copy.deepcopy(model), recipe, pool)
    harness_s: list[float] = []
    bare_s: list[float] = []
    last = time.process_time()

    def on_step(*_: object) -> None:
        nonlocal last
        harness_s.append(time.process_time() - last)
        bare_s.extend(_times(bare, 1, warm_up=False))
        last = time.process_time()

    val = Pool([Subset(pool.parts[0].pixels, np.arange(recipe.batch_size))])
    keeper = Keeper(folder / "last.pt", owner="perf", every_s=1e9)
    train(model, recipe, (pool, val), seed=0, fabric=_fabric(), keeper=keeper, on_step=on_step)
    ours, theirs = median(harness_s[1:]), median(bare_s[1:])
    ratios = sorted(b / h for h, b in zip(harness_s[1:], bare_s[1:], strict=True))
    what = f"{name}, {recipe.image_size} px, batch {recipe.batch_size}, {len(ratios)} steps each"
    print(
        f"training   {recipe.batch_size / ours:8.2f} images/s, bare loop {recipe.batch_size / theirs:.2f} ({what}): "
        f"{theirs / ours:.3f} of it; single pairs {ratios[0]:.3f} to {ratios[-1]:.3f}  (limit {LEAST_RATIO})"
    )
    return theirs / ours >= LEAST_RATIO


def _bare_step(model: nn.Module, recipe: Recipe, pool: Pool) -> Callable[[], None]:
    criterion, optimizer = get_criterion(recipe.loss), make_optimizer(model, recipe)
    generator = torch.Generator().manual_seed(derive_seed("augment", 0, 1, 0))
    first = np.arange(recipe.batch_size)
    x, y = _batch(pool, first, recipe, generator)
    model.train()

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        training_loss(model, model(x), y, criterion).backward()
        optimizer.step()

    return run


def _validation(name: str, recipe: Recipe, pool: Pool) -> None:
    model, fabric = build_model(name), _fabric()
    val = Pool([Subset(pool.parts[0].pixels, np.arange(recipe.batch_size))])
    images, masks = val.batch(np.arange(recipe.batch_size))
    levels = (predict_maps(model, recipe, images, fabric) * 255).round().to(torch.int64)
    bare = _bare_step(copy.deepcopy(model), recipe, pool)
    whole_s: list[float] = []
    score_s: list[float] = []
    step_s: list[float] = []
    for _ in range(5):
        whole_s += _times(lambda: validate(model, recipe, val, fabric), 1)
        score_s += _times(lambda: dice_curve(levels, masks > 127), 1)
        step_s += _times(bare, 1)
    whole, score, step = (median(values) / recipe.batch_size for values in (whole_s, score_s, step_s))
    print(
        f"validation {whole * 1e3:8.1f} ms per image, the curve over 256 thresholds {score * 1e3:.2f} of them "
        f"({score / whole:.1%}); with one validation image to seven of training "
        f"{whole / (whole + 7 * step):.1%} of an epoch"
    )


def _fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def _times(function: Callable[[], object], count: int, *, warm_up: bool = True) -> list[float]:
    if warm_up:
        function()
    times = []
    for _ in range(count):
        begun = time.process_time()
        function()
        times.append(time.process_time() - begun)
    return times


if __name__ == "__main__":
    sys.exit(main())
