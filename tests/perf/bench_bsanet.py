"""Time BSANet beside smp's U-Net (resnet34): CPU seconds per 256x256 image, one thread, repeats interleaved.

    python tests/perf/bench_bsanet.py [--size 256] [--batch 1] [--repeats 11]

Prints medians, their ratios with the limits that the project set itself, and exits with 1 where a limit is missed.
Process time, not wall time: another process on the machine then costs cache, not minutes.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bsanet import build

LIMITS = {"forward": 1.0, "forward+backward": 1.2, "rendering": 1.15}
"""Largest allowed ratio: BSANet to U-Net twice, BSANet with rendering to BSANet without."""


def main() -> int:
    """Print the table; 0 if every ratio is within its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the image in pixels, a multiple of 32")
    parser.add_argument("--batch", type=int, default=1, help="images per pass")
    parser.add_argument("--repeats", type=int, default=11, help="timed repeats of each pass")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    unet = smp.Unet("resnet34", encoder_weights=None, classes=1)
    networks = {"unet": unet, "bsanet": build(), "bsanet-rendering": build(drop="rendering")}
    image = torch.randn(args.batch, 3, args.size, args.size)
    mask = torch.rand(args.batch, 1, args.size, args.size).round()

    forward = _time({name: _forward(network, image) for name, network in networks.items()}, args.repeats)
    del networks["bsanet-rendering"]
    both = _time({name: _step(network, image, mask) for name, network in networks.items()}, args.repeats)
    ratios = {
        "forward": _ratio(forward["bsanet"], forward["unet"]),
        "forward+backward": _ratio(both["bsanet"], both["unet"]),
        "rendering": _ratio(forward["bsanet"], forward["bsanet-rendering"]),
    }
    for title, table in (("forward", forward), ("forward+backward", both)):
        for name, times in table.items():
            print(f"{title:17} {name:17} {median(times) / args.batch * 1e3:8.1f} ms per image")
    for name, ratio in ratios.items():
        print(f"ratio {name:17} {ratio:5.3f}  (limit {LIMITS[name]:.2f})")
    return int(any(ratio > LIMITS[name] for name, ratio in ratios.items()))


def _forward(network: nn.Module, image: Tensor) -> Callable[[], None]:
    def run() -> None:
        network.eval()
        with torch.inference_mode():
            network(image)

    return run


def _step(network: nn.Module, image: Tensor, mask: Tensor) -> Callable[[], None]:
    def run() -> None:
        network.train()
        network.zero_grad()
        outputs = network(image)
        native = getattr(network, "loss", None)
        loss = native(outputs, mask) if native else F.binary_cross_entropy_with_logits(outputs, mask)
        loss.backward()

    return run


def _time(passes: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each pass, the passes taking turns; the first turn warms up and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in passes}
    for turn in range(repeats + 1):
        for name, run in passes.items():
            start = time.process_time()
            run()
            if turn:
                times[name].append(time.process_time() - start)
    return times


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios within a turn: what slows a whole turn down cancels."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    sys.exit(main())
