"""How far the published networks in float32 are from a plain writing of their published formulas in float64.

The other side is the second writing that the tests compare with (tests/baselines: plain functions on a state dict), on
the same random weights and batch norm statistics. The figure is the greatest difference over all maps and pixels of
the scored map, in standard deviations of that map; torch's own initialisation, so that values have a usual size.

Run: python tests/perf/parity_baselines.py [--models pranet,sanet,polyp_pvt] [--sizes 256,352] [--batches 1,2]
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from types import ModuleType
from typing import cast

import torch

sys.path.insert(0, str(Path(__file__).parent))
from bench_baselines import load, norm, plain_ldnet, plain_pranet, plain_sanet
from plain_field import (
    plain_caranet,
    plain_fcbformer,
    plain_hardnet_mseg,
    plain_polyp_pvt,
    plain_pranet_v2,
    plain_pranet_v2_res2net,
    plain_ssformer,
)

from baselines import caranet, fcbformer, hardnet_mseg, ldnet, polyp_pvt, pranet, pranet_v2, sanet, ssformer
from baselines.pranet_blocks import PartialDecoder

NETWORKS = {
    "pranet": (pranet.build, plain_pranet),
    "sanet": (sanet.build, plain_sanet),
    "ldnet": (ldnet.build, plain_ldnet),
    "polyp_pvt": (polyp_pvt.build, plain_polyp_pvt),
    "fcbformer": (fcbformer.build, plain_fcbformer),
    "ssformer_s": (ssformer.build_s, plain_ssformer),
    "ssformer_l": (ssformer.build_l, plain_ssformer),
    "caranet": (caranet.build, plain_caranet),
    "hardnet_mseg": (hardnet_mseg.build, plain_hardnet_mseg),
    "pranet_v2": (pranet_v2.build, plain_pranet_v2),
    "pranet_v2_res2net": (pranet_v2.build_res2net, plain_pranet_v2_res2net),
}


PAPERS_OWN = ("pranet", "sanet", "ldnet")
"""Their biases and linear weights stay as torch starts them; the others' are enlarged, as a transformer's hide much."""


def prepare_caranet(model: caranet.CaraNet, shared: ModuleType) -> None:
    """Give CaraNet's parts comparable sizes.

    Its decoder has no norms, so with random statistics one map would be so large that nothing else shows; and the
    share of its attention starts at 0. The backbone stays as it is: a random one that is normed layer by layer
    magnifies rounding more than a thousandfold, however it is written.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, caranet.LineAttention):
                module.gamma.fill_(0.1)
        images = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(2)).double()
        shared.settle(model, images, but="resnet")
        decoder = cast(PartialDecoder, model.agg1)
        decoder.conv5.weight.div_(model(images)[3].std())
        shared.settle(model, images, but="resnet")


def main() -> None:
    """Print one line per network, size and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(NETWORKS))
    parser.add_argument("--sizes", default="256,352")
    parser.add_argument("--batches", default="1,2")
    arguments = parser.parse_args()
    shared = load("conftest")
    shared.norm = norm
    for name in arguments.models.split(","):
        build, plain = NETWORKS[name]
        torch.manual_seed(0)
        exact = (shared.stir if name in PAPERS_OWN else shared.shake)(build())
        if isinstance(exact, caranet.CaraNet):
            prepare_caranet(exact, shared)
        model = copy.deepcopy(exact).float().eval()
        rival = plain(dict(exact.state_dict()), shared)
        for size in map(int, arguments.sizes.split(",")):
            for batch in map(int, arguments.batches.split(",")):
                image = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))
                with torch.inference_mode():
                    own = model(image)[0].double()
                    other = rival(image.double())
                scored = other if isinstance(other, torch.Tensor) else other[0]  # type: ignore[index]
                difference = float((own - scored).abs().max() / scored.std())
                print(f"{name} at {size} px, batch {batch}: {difference:.1e} of the map's deviation", flush=True)


if __name__ == "__main__":
    main()
