"""The networks under autocast and in a compiled graph."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from baselines import (
    caranet,
    fcbformer,
    hardnet_mseg,
    ldnet,
    polyp_pvt,
    pranet,
    pranet_v2,
    sanet,
    ssformer,
    unet,
    unetplusplus,
)
from benchmark.models.known import MODELS

pytestmark = pytest.mark.slow

BUILDERS = {
    "pranet": pranet.build,
    "sanet": sanet.build,
    "ldnet": ldnet.build,
    "ldnet-lean": lambda: ldnet.build(lean=True),
    "ldnet-legacy": lambda: ldnet.build(legacy_bce=True),
    "caranet": caranet.build,
    "hardnet_mseg": hardnet_mseg.build,
    "pranet_v2": pranet_v2.build,
    "pranet_v2-difference": lambda: pranet_v2.build_res2net(softmax=False),
    "polyp_pvt": polyp_pvt.build,
    "fcbformer": fcbformer.build,
    "fcbformer-legacy": lambda: fcbformer.build(legacy_bce=True),
    "ssformer_s": ssformer.build_s,
    "unet": unet.build,
    "unetplusplus:classic": unetplusplus.build_classic,
}


@pytest.fixture(scope="module", autouse=True)
def small_branch() -> Iterator[None]:
    """Give FCBFormer's transformer branch fewer pixels: its own number, whatever the image's, would only take time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcbformer, "BRANCH_SIDE", 16)
        yield


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.exhaustive if "-" in name else ()) for name in sorted(BUILDERS)]
)
def test_a_training_step_under_autocast_stays_near_float32(name: str) -> None:
    torch.manual_seed(0)
    model: nn.Module = BUILDERS[name]().train()
    image, mask = torch.randn(2, 3, 32, 32), (torch.rand(2, 1, 32, 32) > 0.5).float()
    with torch.no_grad():
        plain = model.loss(model(image), mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(model(image), mask)
    assert loss.dtype == torch.float32
    loss.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=0.2)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("polyp_pvt",) else pytest.mark.exhaustive)
        for name in sorted(BUILDERS)
        if "-" not in name and name not in MODELS
    ],
)
def test_the_forward_is_one_graph(name: str) -> None:
    """For networks that `tests/benchmark/training/test_fake_cuda.py` does not trace with their losses."""
    torch.manual_seed(0)
    model: nn.Module = BUILDERS[name]().eval()
    image = torch.randn(1, 3, 64, 64)
    whole = torch.compile(model, backend="eager", fullgraph=True)  # a graph break would raise
    with torch.no_grad():
        for own, other in zip(whole(image), model(image), strict=True):
            assert torch.allclose(own, other, rtol=1e-3, atol=1e-3 * float(other.std()))
        with pytest.raises((ValueError, RuntimeError), match="multiples of 32"):
            whole(torch.zeros(1, 3, 50, 64))
