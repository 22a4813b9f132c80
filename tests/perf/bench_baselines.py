"""Forward time of PraNet, SANet and LDNet against a straightforward eager writing of the same formulas.

The rival is the second writing that the tests compare outputs with: plain functions on the same weights, with torch's
own batch norm. Both run in turn in one process on one thread; the figure is the ratio of the medians of what torch's
profiler counts as spent inside operations (on a GPU: in its kernels). Also: the ratio of the process's CPU time (on a
GPU: of the clock), that ratio for channels_last against contiguous, and with --table the most expensive operations.

Run: python tests/perf/bench_baselines.py [--size 256] [--batch 1] [--repeats 7] [--device cuda] [--table]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import ldnet, pranet, sanet

State = dict[str, Tensor]
Forward = Callable[[Tensor], object]
TESTS = Path(__file__).resolve().parents[1] / "baselines"


def load(name: str) -> ModuleType:
    """Import a test module by file: tests are no package."""
    spec = importlib.util.spec_from_file_location(f"perf_{name}", TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def norm(s: State, key: str, x: Tensor) -> Tensor:
    """Batch norm by torch's own kernel."""
    mean, var = s[f"{key}.running_mean"], s[f"{key}.running_var"]
    return F.batch_norm(x, mean, var, s[f"{key}.weight"], s[f"{key}.bias"], training=False)


def plain_pranet(s: State, shared: ModuleType) -> Forward:
    """PraNet as plain functions."""
    own = load("test_pranet")
    r = own.Restated(s, norm)
    stages = tuple(f"resnet.layer{i}" for i in (1, 2, 3, 4))

    def forward(image: Tensor) -> object:
        _, _, x2, x3, x4 = shared.restated_features(s, image, ("resnet.conv1", "resnet.bn1"), stages)
        g = r.decode(r.rfb("rfb4_1", x4), r.rfb("rfb3_1", x3), r.rfb("rfb2_1", x2))
        m4 = r.refine(4, x4, own.scale(g, 0.25), 5, 2, 0)
        m3 = r.refine(3, x3, own.scale(m4, 2), 4, 1, 1)
        m2 = r.refine(2, x2, own.scale(m3, 2), 4, 1, 1)
        return own.scale(m2, 8), own.scale(m3, 16), own.scale(m4, 32), own.scale(g, 8)

    return forward


def plain_sanet(s: State, shared: ModuleType) -> Forward:
    """SANet as plain functions."""
    own = load("test_sanet")
    stages = tuple(f"bkbone.layer{i}" for i in (1, 2, 3, 4))

    def linear(key: str, x: Tensor) -> Tensor:
        return F.relu(norm(s, f"{key}.1", F.conv2d(x, s[f"{key}.0.weight"], s[f"{key}.0.bias"])))

    def forward(image: Tensor) -> object:
        _, _, c3, c4, c5 = shared.restated_features(s, image, ("bkbone.conv1", "bkbone.bn1"), stages)
        r3 = linear("linear3", c3)
        size = (r3.shape[2], r3.shape[3])
        r4, r5 = own.grow(linear("linear4", c4), size), own.grow(linear("linear5", c5), size)
        coarse = F.conv2d(torch.cat([r5, r4 * r5, r3 * r4 * r5], 1), s["predict.weight"], s["predict.bias"])
        return own.grow(coarse, (image.shape[2], image.shape[3]))

    return forward


def plain_ldnet(s: State, shared: ModuleType) -> Forward:
    """LDNet as plain functions."""
    own = load("test_ldnet")
    r = own.Restated(s, norm)
    stages = tuple(f"encoder{i}" for i in (2, 3, 4, 5))

    def forward(image: Tensor) -> object:
        e1, *rest = shared.restated_features(s, image, ("encoder1_conv", "encoder1_bn"), stages)
        e = {1: e1} | {k: own.conv(r.s, f"reduce{k}", x) for k, x in zip((2, 3, 4, 5), rest, strict=True)}
        kernel = r.kernel(e[5])
        d = r.decoder("decoder5", e[5])
        maps = [own.predict(own.conv(r.s, "unify5", d), kernel)]
        for k in (4, 3, 2, 1):
            d = r.decoder(f"decoder{k}", torch.cat([r.lca(f"lca{k}", d, maps[0]), r.esa(f"esa{k}", e[k])], 1))
            u = own.conv(r.s, f"unify{k}", d)
            kernel = r.update(f"headUpdators.{4 - k}", u, kernel, maps[0])
            maps.insert(0, own.predict(u, kernel))
        return maps

    return forward


@dataclass
class Times:
    """Seconds of the timed passes of one forward: by torch's profiler, and by the process's clock without it."""

    profiled: list[float]
    clock: list[float]


def measure(forwards: list[tuple[Forward, Tensor]], repeats: int) -> list[Times]:
    """Time each forward in turn, after one round of warm-up, so that a busy moment hits all of them."""
    times = [Times([], []) for _ in forwards]
    with torch.inference_mode():
        for number in range(repeats + 1):
            for own, (forward, image) in zip(times, forwards, strict=True):
                forward(image)  # its own weights into the caches first
                clock, profiled = by_clock(forward, image), by_profiler(forward, image)
                if number:
                    own.clock.append(clock)
                    own.profiled.append(profiled)
    return times


def by_clock(forward: Forward, image: Tensor) -> float:
    """Seconds of one pass: of this process's CPU time, which other processes hardly disturb, or with a GPU's work."""
    clock = time.perf_counter if image.is_cuda else time.process_time
    begun = clock()
    forward(image)
    if image.is_cuda:
        torch.cuda.synchronize()
    return clock() - begun


def by_profiler(forward: Forward, image: Tensor) -> float:
    """Seconds inside torch's operations, or on a GPU inside its kernels, of one pass."""
    with profile(image) as found:
        forward(image)
    events = found.key_averages()
    return sum(e.self_device_time_total if image.is_cuda else e.self_cpu_time_total for e in events) / 1e6


def profile(image: Tensor) -> torch.profiler.profile:
    """Make a profiler for what runs where the image is."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if image.is_cuda:
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    return torch.profiler.profile(activities=kinds)


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shared = load("conftest")
    shared.norm = norm
    image = torch.randn(arguments.batch, 3, arguments.size, arguments.size, device=arguments.device)
    packed = image.to(memory_format=torch.channels_last)
    for build, plain in ((pranet.build, plain_pranet), (sanet.build, plain_sanet), (ldnet.build, plain_ldnet)):
        model: nn.Module = build().eval().to(image.device)
        last = build().eval().to(image.device, memory_format=torch.channels_last)
        rival = plain(dict(model.state_dict()), shared)
        ours, theirs, other = measure([(model, image), (rival, image), (last, packed)], arguments.repeats)
        profiled, clock, layout = ratio(ours, theirs), ratio(ours, theirs, "clock"), ratio(other, ours, "clock")
        print(
            f"{type(model).__name__} at {arguments.size} px, batch {arguments.batch}: "
            f"{statistics.median(ours.profiled) * 1e3:.1f} ms in operations, {profiled:.2f} of the plain writing "
            f"({clock:.2f} by the clock); channels_last {layout:.2f} of contiguous",
            flush=True,
        )
        if arguments.table:
            with torch.inference_mode(), profile(image) as found:
                model(image)
            print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=8))


def ratio(one: Times, other: Times, which: str = "profiled") -> float:
    """The ratio of two medians."""
    return statistics.median(getattr(one, which)) / statistics.median(getattr(other, which))


if __name__ == "__main__":
    main()
