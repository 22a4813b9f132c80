"""PraNet against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import pranet
from baselines.losses import structure_loss
from baselines.pranet import PraNet
from baselines.pranet_blocks import ConvUnit, PartialDecoder

State = dict[str, Tensor]
Norm = Callable[[State, str, Tensor], Tensor]


@pytest.fixture(scope="module")
def net(stirred: Callable[..., nn.Module]) -> PraNet:
    torch.manual_seed(0)
    return stirred(pranet.build())


def up2(x: Tensor) -> Tensor:
    size = (2 * x.shape[2], 2 * x.shape[3])
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def scale(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class Restated:
    """The head's formulas on a state dict."""

    def __init__(self, state: State, norm: Norm) -> None:
        self.s, self.norm = state, norm

    def cb(self, key: str, x: Tensor, pad: int | tuple[int, int] = 0, dil: int = 1) -> Tensor:
        x = F.conv2d(x, self.s[f"{key}.conv.weight"], padding=pad, dilation=dil)
        return self.norm(self.s, f"{key}.bn", x)

    def rfb(self, key: str, x: Tensor) -> Tensor:
        outs = [self.cb(f"{key}.branch0.0", x)]
        for i, k in ((1, 3), (2, 5), (3, 7)):
            y = self.cb(f"{key}.branch{i}.0", x)
            y = self.cb(f"{key}.branch{i}.1", y, (0, k // 2))
            y = self.cb(f"{key}.branch{i}.2", y, (k // 2, 0))
            outs.append(self.cb(f"{key}.branch{i}.3", y, k, k))
        return F.relu(self.cb(f"{key}.conv_cat", torch.cat(outs, 1), 1) + self.cb(f"{key}.conv_res", x))

    def decode(self, f4: Tensor, f3: Tensor, f2: Tensor) -> Tensor:
        def unit(name: str, x: Tensor) -> Tensor:
            return self.cb(f"agg1.{name}", x, 1)

        b = unit("conv_upsample1", up2(f4)) * f3
        c = unit("conv_upsample2", up2(up2(f4))) * unit("conv_upsample3", up2(f3)) * f2
        d = unit("conv_concat2", torch.cat([b, unit("conv_upsample4", up2(f4))], 1))
        e = unit("conv_concat3", torch.cat([c, unit("conv_upsample5", up2(d))], 1))
        return F.conv2d(unit("conv4", e), self.s["agg1.conv5.weight"], self.s["agg1.conv5.bias"])

    def refine(self, level: int, x: Tensor, guide: Tensor, num: int, pad: int, last_pad: int) -> Tensor:
        z = self.cb(f"ra{level}_conv1", x * (1 - torch.sigmoid(guide)))
        for i in range(2, num):
            z = F.relu(self.cb(f"ra{level}_conv{i}", z, pad))
        return self.cb(f"ra{level}_conv{num}", z, last_pad) + guide


def test_equals_the_formulas(
    net: PraNet, image: Tensor, backbone: Callable, batch_norm: Norm, assert_close: Callable
) -> None:
    r = Restated(net.state_dict(), batch_norm)
    with torch.no_grad():
        stages = tuple(f"resnet.layer{i}" for i in (1, 2, 3, 4))
        _, _, x2, x3, x4 = backbone(r.s, image, ("resnet.conv1", "resnet.bn1"), stages)
        s = r.decode(r.rfb("rfb4_1", x4), r.rfb("rfb3_1", x3), r.rfb("rfb2_1", x2))
        m4 = r.refine(4, x4, scale(s, 0.25), 5, 2, 0)
        m3 = r.refine(3, x3, scale(m4, 2), 4, 1, 1)
        m2 = r.refine(2, x2, scale(m3, 2), 4, 1, 1)
        expected = (scale(m2, 8), scale(m3, 16), scale(m4, 32), scale(s, 8))
        outputs = net(image)
    assert len(outputs) == 4
    for own, other in zip(outputs, expected, strict=True):
        assert_close(own, other)


def test_conv_unit_has_neither_activation_nor_bias() -> None:
    unit = ConvUnit(4, 8, 3, padding=1).eval()
    assert unit.conv.bias is None
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        assert torch.allclose(unit(-x), -unit(x), atol=1e-6), "a unit with mean 0 and bias 0 is odd unless it clips"


def test_decoder_doubles_twice_rather_than_once_by_four() -> None:
    decoder = PartialDecoder().eval()
    seen: dict[str, Tensor] = {}
    decoder.conv_upsample2.register_forward_pre_hook(lambda _, args: seen.update(x=args[0]))
    f4 = torch.randn(1, 32, 2, 3)
    decoder(f4, torch.randn(1, 32, 4, 6), torch.randn(1, 32, 8, 12))
    once = F.interpolate(f4, size=(8, 12), mode="bilinear", align_corners=True)
    assert torch.allclose(seen["x"], up2(up2(f4)), atol=1e-6)
    assert not torch.allclose(seen["x"], once, atol=1e-2)


def test_side_branch_sees_nothing_where_the_global_map_is_sure(net: PraNet, image: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    hook = net.ra4_conv1.register_forward_pre_hook(lambda _, args: seen.update(z=args[0]))
    conv5 = net.agg1.conv5
    kept = conv5.weight.clone(), conv5.bias.clone()
    with torch.no_grad():
        conv5.weight.zero_()
        for value, empty in ((60.0, True), (-60.0, False)):
            conv5.bias.fill_(value)
            net(image)
            assert bool((seen["z"].abs() < 1e-6).all()) is empty
        conv5.weight.copy_(kept[0])
        conv5.bias.copy_(kept[1])
    hook.remove()


def test_silent_branches_hand_the_global_map_down(
    stirred: Callable[..., nn.Module], image: Tensor, assert_close: Callable
) -> None:
    net = stirred(pranet.build())
    with torch.no_grad():
        for last in (net.ra4_conv5, net.ra3_conv4, net.ra2_conv4):
            last.bn.weight.zero_()
            last.bn.bias.zero_()
        caught: dict[str, Tensor] = {}
        net.agg1.register_forward_hook(lambda _, args, out: caught.update(s=out))
        m2, m3, m4, s = net(image)
    g4 = (caught["s"][..., 1::4, 1::4] + caught["s"][..., 2::4, 1::4]) / 4
    g4 = g4 + (caught["s"][..., 1::4, 2::4] + caught["s"][..., 2::4, 2::4]) / 4  # the centre 2 x 2 of each cell
    assert_close(m4, scale(g4, 32))
    assert_close(m3, scale(scale(g4, 2), 16))
    assert_close(m2, scale(scale(scale(g4, 2), 2), 8))
    assert_close(s, scale(caught["s"], 8))


def test_gradients_flow_through_the_gate(net: PraNet, image: Tensor) -> None:
    bias = net.agg1.conv5.bias
    m2 = net(image)[0]
    (grad,) = torch.autograd.grad(m2.sum(), bias)
    # were the gates detached, a shift of the global map would shift m2 by as much and do nothing else
    assert abs(grad.item() / m2.numel() - 1) > 1e-3


def test_classifier_is_dead(net: PraNet, image: Tensor) -> None:
    with torch.no_grad():
        before = net(image)[0]
        kept = net.resnet.fc.weight.clone()
        net.resnet.fc.weight.fill_(7.0)
        after = net(image)[0]
        net.resnet.fc.weight.copy_(kept)
    assert torch.equal(before, after)


@pytest.mark.parametrize("legacy", [True, False])
def test_native_loss_sums_the_structure_loss_over_four_maps(
    net: PraNet, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert net.legacy_bce, "as released, by default"
    monkeypatch.setattr(net, "legacy_bce", legacy)
    g = torch.Generator().manual_seed(3)
    outputs = tuple(torch.randn(2, 1, 40, 40, generator=g) for _ in range(4))
    mask = torch.rand(2, 1, 40, 40, generator=g)
    expected = sum(structure_loss(m, mask, legacy_bce=legacy).item() for m in outputs)
    assert net.loss(outputs, mask).item() == pytest.approx(expected, rel=1e-6)


def test_min_max_stretches_each_map_by_itself() -> None:
    prob = torch.tensor([[[0.2, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.5, 0.5]]])
    out = pranet.min_max(prob)
    assert torch.allclose(out[0], torch.tensor([[0.0, 0.25], [0.5, 1.0]]), atol=1e-6)
    assert torch.equal(out[1], torch.zeros(2, 2))
