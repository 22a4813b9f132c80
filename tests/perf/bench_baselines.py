"""Forward time of PraNet, SANet and LDNet against a straightforward eager writing of the same formulas.

The rival is the second writing that the tests compare outputs with: plain functions on the same weights, with torch's
own batch norm. Both run in turn in one process on one thread; the figure is the ratio of medians. Also: the ratio
with channels_last, and the most expensive operations by torch's profiler.

Run: python tests/perf/bench_baselines.py [--size 256] [--repeats 7] [--profile]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
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


def medians(forwards: list[tuple[Forward, Tensor]], repeats: int) -> list[float]:
    """Median seconds of each, in turn, after one round of warm-up."""
    times: list[list[float]] = [[] for _ in forwards]
    with torch.inference_mode():
        for _ in range(repeats + 1):
            for own, (forward, image) in zip(times, forwards, strict=True):
                forward(image)  # its own weights into the caches first
                begun = time.perf_counter()
                forward(image)
                own.append(time.perf_counter() - begun)
    return [statistics.median(own[1:]) for own in times]


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shared = load("conftest")
    shared.norm = norm
    image = torch.randn(1, 3, arguments.size, arguments.size)
    packed = image.to(memory_format=torch.channels_last)
    for build, plain in ((pranet.build, plain_pranet), (sanet.build, plain_sanet), (ldnet.build, plain_ldnet)):
        model: nn.Module = build().eval()
        last = build().eval().to(memory_format=torch.channels_last)
        rival = plain(dict(model.state_dict()), shared)
        ours, theirs, packed_time = medians([(model, image), (rival, image), (last, packed)], arguments.repeats)
        print(
            f"{type(model).__name__} at {arguments.size} px: {ours * 1e3:.0f} ms, "
            f"{ours / theirs:.2f} of the plain writing, channels_last {packed_time / ours:.2f} of contiguous"
        )
        if arguments.profile:
            with torch.inference_mode(), torch.profiler.profile() as profile:
                model(image)
            print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=8))


if __name__ == "__main__":
    main()
