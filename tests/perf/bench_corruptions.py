"""Time every corruption and classical front end at Kvasir's typical size, 574x500 px, on one core.

Run: python tests/perf/bench_corruptions.py [IMAGE]
Without an image, a drawn one is taken. The target of the core set is 60 images/s on average over its severities.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.robustness.corruptions import CORRUPTIONS, SEVERITIES
from benchmark.robustness.corruptions.base import Pixels
from benchmark.robustness.denoising.classical import FRONT_ENDS

WIDTH, HEIGHT = 574, 500
TARGET_PER_S = 60


def main() -> int:
    """Print ms per image; return 1 where the core set misses its target."""
    image = _image(Path(sys.argv[1])) if len(sys.argv) > 1 else _drawn()
    grey = np.repeat(image[..., 1:2], 3, axis=2)
    core: list[float] = []
    print(f"{'corruption':20s} ms per image at severity 1 to 5 (CPU time, one core, {WIDTH}x{HEIGHT} px)")
    for one in CORRUPTIONS.values():
        source, repeats = (grey, 1) if one.images == "grey" else (image, 8)
        times = [_ms(lambda seed, c=one, s=s, i=source: c(i, severity=s, seed=seed), repeats) for s in SEVERITIES]
        core += times if one.core else []
        print(f"{one.name:20s} " + " ".join(f"{value:8.1f}" for value in times) + ("  core" if one.core else ""))
    for end in FRONT_ENDS.values():
        print(f"denoise {end.name:12s} {_ms(lambda _, e=end: e(image), 3):8.1f}")
    rate = 1000 / float(np.mean(core))
    print(f"core set: {rate:.0f} images/s on average; target {TARGET_PER_S}")
    return 0 if rate >= TARGET_PER_S else 1


def _ms(call: Callable[[int], Pixels], repeats: int) -> float:
    call(0)  # tables and imports
    start = time.process_time()
    for seed in range(repeats):
        call(seed)
    return (time.process_time() - start) / repeats * 1000


def _image(path: Path) -> Pixels:
    return np.array(Image.open(path).convert("RGB").resize((WIDTH, HEIGHT)))


def _drawn() -> Pixels:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = np.stack([140 + 60 * np.sin(x / 40), 90 + 40 * np.cos(y / 30), 60 + 30 * np.sin((x + y) / 25)], axis=2)
    return np.clip(waves + np.random.default_rng(0).normal(0, 6, waves.shape), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    raise SystemExit(main())
