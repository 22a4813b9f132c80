"""How many times faster than py_sod_metrics maps are scored, in one process, on one thread.

    python tests/perf/bench_scoring.py [--repeat 21] [--predictions DIR --masks DIR]

Five measures: MAE, S, weighted F, E and FmeasureV2 with Dice, IoU and F. Each round scores the same few images,
each with its own mask, by py_sod_metrics, by us with the masks' plans read from disk (hash of the mask and reading
included), by us with the plans in memory, and by us without plans. A ratio is that of the medians over the rounds of
CPU time per image. Then the
field's 798 test images (60 CVC-300, 62 ClinicDB, 100 Kvasir, 380 ColonDB, 196 ETIS, in their sizes, synthetic), once
to make the plans and once more with the plans on disk; decoding is not included.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import py_sod_metrics as sod
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmark.metrics import PlanCache, plan, score

FIELD = {"CVC-300": (60, 500, 574), "ClinicDB": (62, 288, 384), "Kvasir": (100, 530, 622)}
FIELD |= {"ColonDB": (380, 500, 574), "ETIS": (196, 966, 1225)}
TARGETS = {(500, 574): (40, 12), (966, 1225): (45, 15)}
FIELD_TARGET_S = 2.5

Pair = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def make_pair(height: int, width: int, rng: np.random.Generator, *, noise: float = 0.0) -> Pair:
    """Return a soft map and an elliptic mask of about 12 % of the image, slightly apart; noise in levels."""
    cy, cx = rng.uniform(0.35, 0.65, 2)
    y, x = np.ogrid[:height, :width]
    mask = ((y / height - cy) / 0.22) ** 2 + ((x / width - cx) / 0.18) ** 2 < 1
    shift = (int(rng.integers(-12, 12)), int(rng.integers(-12, 12)))
    soft = gaussian_filter(np.roll(mask, shift, (0, 1)).astype(np.float32), 6) * 255
    if noise:
        soft = soft * 0.85 + 20 + rng.normal(0, noise, mask.shape)
    return np.clip(soft, 0, 255).astype(np.uint8), mask


def reference(levels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    """Score one map as a user of py_sod_metrics does."""
    on = {"with_dynamic": True, "with_adaptive": True}
    family = sod.FmeasureV2(
        {"dice": sod.DICEHandler(**on), "iou": sod.IOUHandler(**on), "f": sod.FmeasureHandler(**on, beta=1)}
    )
    grey = mask.astype(np.uint8) * 255
    for step in (family, sod.Emeasure(), sod.Smeasure(), sod.WeightedFmeasure(), sod.MAE()):
        step.step(levels, grey)


def medians(functions: Sequence[Callable[[Pair], object]], pairs: Sequence[Pair], repeat: int) -> list[float]:
    """Return each function's CPU time per image in ms, the median over rounds in which the functions take turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeat + 1):  # the first round warms up
        for function, spent in zip(functions, times, strict=True):
            start = time.process_time()
            for pair in pairs:
                function(pair)
            spent.append((time.process_time() - start) * 1e3 / len(pairs))
    return [float(np.median(spent[1:])) for spent in times]


def compare(pairs: Sequence[Pair], cache: PlanCache, repeat: int) -> tuple[float, float]:
    """Print one line of times and ratios; return the ratios with the plan on disk and without a plan."""
    known = {id(mask): plan(mask) for _, mask in pairs}
    functions: list[Callable[[Pair], object]] = [
        lambda pair: reference(*pair),
        lambda pair: score(*pair, plan=cache.get(pair[1])),
        lambda pair: score(*pair, plan=known[id(pair[1])]),
        lambda pair: score(*pair),
    ]
    slow, disk, memory, cold = medians(functions, pairs, repeat)
    print(
        f"py_sod {slow:6.1f} ms | plan on disk {disk:5.2f} ms {slow / disk:5.1f}x"
        f" | in memory {memory:5.2f} ms {slow / memory:5.1f}x | cold {cold:5.2f} ms {slow / cold:5.1f}x",
        flush=True,
    )
    return slow / disk, slow / cold


def field_seconds(cache: PlanCache, rng: np.random.Generator) -> tuple[float, float]:
    """Return CPU seconds for 798 images: plans made and kept, then plans on disk."""
    spent = [0.0, 0.0]
    for num_images, height, width in FIELD.values():
        for _ in range(num_images):
            levels, mask = make_pair(height, width, rng)
            for i in range(2):
                start = time.process_time()
                score(levels, mask, plan=cache.get(mask))
                spent[i] += time.process_time() - start
    return spent[0], spent[1]


def real_pairs(predictions: Path, masks: Path) -> list[Pair]:
    """Read maps and their masks (same stem, any format; foreground above 127)."""
    from PIL import Image

    pairs = []
    for path in sorted(predictions.glob("*.png")):
        (mask,) = masks.glob(f"{path.stem}.*")
        grey = np.asarray(Image.open(mask).convert("L"))
        pairs.append((np.asarray(Image.open(path).convert("L")), grey > 127))
    return pairs


def main() -> int:
    """Run the comparison; exit 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=11, help="rounds")
    parser.add_argument("--images", type=int, default=5, help="images per round")
    parser.add_argument("--predictions", type=Path, help="folder with published maps, to time these too")
    parser.add_argument("--masks", type=Path, help="folder with their masks")
    options = parser.parse_args()
    rng, missed = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as folder:
        cache = PlanCache(folder)
        for (height, width), (warm_target, cold_target) in TARGETS.items():
            for noise in (0.0, 8.0):
                print(f"{width}x{height}, {'noisy' if noise else 'soft':5} ", end="")
                pairs = [make_pair(height, width, rng, noise=noise) for _ in range(options.images)]
                warm, cold = compare(pairs, cache, options.repeat)
                missed += [f"{width}x{height} warm"] if warm < warm_target else []
                missed += [f"{width}x{height} cold"] if cold < cold_target else []
        if options.predictions and options.masks:
            print("published maps ", end="")
            compare(real_pairs(options.predictions, options.masks), cache, 2)
        first, second = field_seconds(cache, rng)
        missed += ["798 images"] if second > FIELD_TARGET_S else []
        print(f"798 images: {first:.2f} s of CPU with plans made and kept, {second:.2f} s with plans on disk")
    print("targets:", "all met" if not missed else f"missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
