"""What the rules of serve/input_checks.py measure on real images and on spoiled copies of them.

Reads 300 images of Kvasir-SEG and CVC-ClinicDB below BENCH_DATA_ROOT, drawn by seed 0, and prints percentiles.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmark.prediction.sources import read_upright
from benchmark.serve.input_checks import reddish, saturated, sharpness

FOLDERS = ("Kvasir-SEG/images", "CVC-ClinicDB/Original")
MEASURES: dict[str, Callable[[np.ndarray], float]] = {
    "sharpness": sharpness,
    "saturated": saturated,
    "reddish": reddish,
}


def blurred(image: np.ndarray) -> np.ndarray:
    """A Gaussian of 1 % of the short side."""
    sigma = min(image.shape[:2]) / 100
    return gaussian_filter(image, (sigma, sigma, 0))


def main() -> int:
    root = os.environ.get("BENCH_DATA_ROOT")
    if not root:
        print("set BENCH_DATA_ROOT to the folder with Kvasir-SEG and CVC-ClinicDB")
        return 2
    files = [path for folder in FOLDERS for path in sorted((Path(root) / folder).iterdir())]
    chosen = np.random.default_rng(0).choice(len(files), min(300, len(files)), replace=False)
    images = [read_upright(files[i]) for i in chosen]
    for name, measure in MEASURES.items():
        show(name, [measure(image) for image in images])
    show("sharpness, blurred by 1 %", [sharpness(blurred(image)) for image in images[:60]])
    return 0


def show(name: str, values: list[float]) -> None:
    ends = np.percentile(values, [0, 5, 50, 95, 100])
    print(f"{name:28s} n {len(values)}  least {ends[0]:.3f}  5 % {ends[1]:.3f}  median {ends[2]:.3f}  95 % {ends[3]:.3f}  most {ends[4]:.3f}")  # fmt: skip  # noqa: E501


if __name__ == "__main__":
    sys.exit(main())
