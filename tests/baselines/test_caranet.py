"""CaraNet against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import caranet
from baselines.caranet import AxialAttention, CaraNet, FeaturePyramid, LineAttention, NormAct
from baselines.losses import structure_loss
from baselines.pranet_blocks import PartialDecoder

State = dict[str, Tensor]
Norm = Callable[[State, str, Tensor], Tensor]
NUM_BLOCKS = (3, 4, 23, 3)


def stir_more(net: CaraNet, image: Tensor, settle: Callable[..., nn.Module]) -> None:
    """Give what starts at 0 or at one value for all channels values of its own, and all maps a usual size."""
    g = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.PReLU):
                module.weight.copy_(torch.rand(module.weight.shape, generator=g) * 0.8 - 0.2)
            if isinstance(module, LineAttention):
                module.gamma.fill_(0.7)
        settle(net, image)
        decoder = cast(PartialDecoder, net.agg1)
        m = net(image)[3]
        decoder.conv5.weight.div_(m.std())
        decoder.conv5.bias.fill_(0.2)
        settle(net, image)


@pytest.fixture(scope="module")
def net(stirred: Callable[..., nn.Module], settled: Callable[..., nn.Module], image: Tensor) -> CaraNet:
    torch.manual_seed(0)
    model = cast(CaraNet, stirred(caranet.build()))
    stir_more(model, image, settled)
    return model


def up2(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="bilinear", align_corners=True)


def scale(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class Restated:
    """The head's formulas on a state dict."""

    def __init__(self, state: State) -> None:
        self.s = state

    def a(self, key: str, x: Tensor) -> Tensor:
        mean, var = self.s[f"{key}.bn.running_mean"], self.s[f"{key}.bn.running_var"]
        gain, bias = self.s[f"{key}.bn.weight"], self.s[f"{key}.bn.bias"]
        x = (x - mean[:, None, None]) / (var + 1e-3).sqrt()[:, None, None] * gain[:, None, None] + bias[:, None, None]
        return torch.where(x > 0, x, x * self.s[f"{key}.acti.weight"][:, None, None])

    def c(self, key: str, x: Tensor, pad: int = 0) -> Tensor:
        return F.conv2d(x, self.s[f"{key}.conv.weight"], padding=pad)

    def ca(self, key: str, x: Tensor, rate: int = 1, groups: int = 1) -> Tensor:
        x = F.conv2d(x, self.s[f"{key}.conv.weight"], padding=rate, dilation=rate, groups=groups)
        return self.a(f"{key}.bn_relu", x)

    def decode(self, f4: Tensor, f3: Tensor, f2: Tensor) -> Tensor:
        def unit(name: str, x: Tensor) -> Tensor:
            return self.c(f"agg1.{name}", x, 1)

        b = unit("conv_upsample1", up2(f4)) * f3
        c = unit("conv_upsample2", up2(up2(f4))) * unit("conv_upsample3", up2(f3)) * f2
        d = unit("conv_concat2", torch.cat([b, unit("conv_upsample4", up2(f4))], 1))
        e = unit("conv_concat3", torch.cat([c, unit("conv_upsample5", up2(d))], 1))
        return F.conv2d(unit("conv4", e), self.s["agg1.conv5.weight"], self.s["agg1.conv5.bias"])

    def cfp(self, key: str, x: Tensor) -> Tensor:
        y = self.ca(f"{key}.conv1x1_1", self.a(f"{key}.bn_relu_1", x))
        outs = []
        for branch, rate in ((1, 1), (2, 3), (3, 5), (4, 9)):
            one = self.ca(f"{key}.dconv_{branch}_1", y, rate, 2)
            two = self.ca(f"{key}.dconv_{branch}_2", one, rate, 2)
            outs.append(torch.cat([one, two, self.ca(f"{key}.dconv_{branch}_3", two, rate, 2)], 1))
        sums = [sum(outs[1:n], outs[0]) for n in (1, 2, 3, 4)]
        return self.c(f"{key}.conv1x1", self.a(f"{key}.bn_relu_2", torch.cat(sums, 1))) + x

    def attend(self, key: str, x: Tensor, length: int) -> Tensor:
        """Image by image, on the flat row-major memory."""

        def lines(name: str, image: Tensor) -> Tensor:
            return torch.stack(self.c(f"{key}.{name}", image[None]).reshape(-1).split(length))

        outs = []
        for image in x:
            q, k, v = (lines(name, image) for name in ("query_conv", "key_conv", "value_conv"))
            weight = 1 / (1 + torch.exp(-torch.einsum("ri,rj->ij", q, k)))
            outs.append(torch.einsum("ij,rj->ri", weight, v).reshape(image.shape))
        return self.s[f"{key}.gamma"] * torch.stack(outs) + x

    def refine(self, level: int, x: Tensor, guide: Tensor) -> Tensor:
        u = self.cfp(f"CFP_{level}", x)
        u = self.c(f"aa_kernel_{level}.conv1", self.c(f"aa_kernel_{level}.conv0", u), 1)
        u = self.attend(f"aa_kernel_{level}.Hattn", u, u.shape[2])
        u = self.attend(f"aa_kernel_{level}.Wattn", u, u.shape[3])
        z = u * (1 - torch.sigmoid(guide))
        for i in (1, 2, 3):
            z = self.ca(f"ra{level}_conv{i}", z)
        return z + guide

    def head(self, x2: Tensor, x3: Tensor, x4: Tensor) -> tuple[Tensor, ...]:
        f2, f3, f4 = self.ca("rfb2_1", x2), self.ca("rfb3_1", x3), self.ca("rfb4_1", x4)
        m = self.decode(f4, f3, f2)
        m3 = self.refine(3, f4, scale(m, 0.25))
        m2 = self.refine(2, f3, scale(m3, 2))
        m1 = self.refine(1, f2, scale(m2, 2))
        return scale(m1, 8), scale(m2, 16), scale(m3, 32), scale(m, 8)


def test_equals_the_formulas(net: CaraNet, image: Tensor, backbone: Callable, assert_close: Callable) -> None:
    r = Restated(net.state_dict())
    stages = tuple(f"resnet.layer{i}" for i in (1, 2, 3, 4))
    with torch.no_grad():
        _, _, *features = backbone(r.s, image, ("resnet.conv1", "resnet.bn1"), stages, NUM_BLOCKS)
        outputs = net(image)
    assert len(outputs) == 4
    for own, other in zip(outputs, r.head(*features), strict=True):
        assert_close(own, other)


def test_norms_have_two_epsilons_and_activations_a_slope_per_channel() -> None:
    with torch.device("meta"):
        fresh = caranet.build()
    eps = {key: m.eps for key, m in fresh.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {value for key, value in eps.items() if key.startswith("resnet.")} == {1e-5}
    assert {value for key, value in eps.items() if not key.startswith("resnet.")} == {1e-3}
    unit = NormAct(6)
    assert torch.equal(unit.acti.weight, torch.full((6,), 0.25))


def test_decoder_is_bare(net: CaraNet) -> None:
    assert {type(m) for m in net.agg1.modules() if not list(m.children())} == {nn.Conv2d}


def test_pyramid_adds_its_input_as_it_came() -> None:
    pyramid = FeaturePyramid().eval()
    nn.init.zeros_(pyramid.conv1x1.conv.weight)
    x = torch.randn(1, 32, 7, 5)
    assert torch.equal(pyramid(x), x)


def test_fourth_branch_reaches_nine_pixels_a_step_and_sums_grow() -> None:
    """With one branch alone its output enters its own sum and all later ones."""
    pyramid = FeaturePyramid().eval()
    for branch in (1, 2, 3, 4):
        for i in (1, 2, 3):
            nn.init.zeros_(pyramid.get_submodule(f"dconv_{branch}_{i}").conv.weight)
    nn.init.ones_(pyramid.dconv_2_1.conv.weight)
    seen: dict[str, Tensor] = {}
    pyramid.bn_relu_2.register_forward_pre_hook(lambda _, args: seen.update(x=args[0]))
    with torch.no_grad():
        pyramid(torch.randn(1, 32, 9, 9))
    filled = [bool(part.abs().sum() > 0) for part in seen["x"].split(8, 1)]
    assert filled == [False, True, True, True]
    assert {pyramid.get_submodule(f"dconv_4_{i}").conv.dilation for i in (1, 2, 3)} == {(9, 9)}


@pytest.mark.parametrize("part", ["Hattn", "Wattn"])
def test_both_attentions_run_along_the_width_and_do_not_normalise(part: str) -> None:
    attention = AxialAttention().get_submodule(part)
    with torch.no_grad():
        attention.gamma.fill_(2.0)
        attention.query_conv.conv.weight.zero_()  # an affinity of 0 everywhere, so a weight of 1/2
        x = torch.randn(2, 32, 6, 6)
        value = attention.value_conv(x)
        added = attention(x, 6) - x
    assert torch.allclose(added, value.sum(3, keepdim=True).expand_as(x), atol=1e-5)


def test_attention_starts_as_identity_and_takes_any_memory_format() -> None:
    attention = LineAttention()
    x = torch.randn(1, 32, 4, 6)
    with torch.no_grad():
        assert torch.equal(attention(x, 4), x)
        attention.gamma.fill_(1.0)
        plain = attention(x, 4)
        packed = attention(x.to(memory_format=torch.channels_last), 4)
    assert torch.allclose(plain, packed, atol=1e-5)


def test_side_branch_sees_nothing_where_the_global_map_is_sure(net: CaraNet, image: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    hook = net.ra3_conv1.register_forward_pre_hook(lambda _, args: seen.update(z=args[0]))
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


def test_residual_keeps_its_activation(net: CaraNet, image: Tensor) -> None:
    """With a slope of 0 no residual is negative."""
    slope = net.ra1_conv3.bn_relu.acti.weight
    kept = slope.clone()
    seen: dict[str, Tensor] = {}
    hook = net.ra1_conv3.register_forward_hook(lambda _, args, out: seen.update(r=out))
    with torch.no_grad():
        slope.zero_()
        m1, m2, _, _ = net(image)
        slope.copy_(kept)
    hook.remove()
    assert seen["r"].min() == 0 < seen["r"].max()
    assert m1.shape == m2.shape


def test_gradients_flow_through_the_gate(net: CaraNet, image: Tensor) -> None:
    m1 = net(image)[0]
    (grad,) = torch.autograd.grad(m1.sum(), net.agg1.conv5.bias)
    # were the gates detached, a shift of the global map would shift m1 by as much and do nothing else
    assert abs(grad.item() / m1.numel() - 1) > 1e-3


@pytest.mark.parametrize("legacy", [True, False])
def test_native_loss_sums_the_structure_loss_over_four_maps(
    net: CaraNet, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert net.legacy_bce, "as released, by default"
    monkeypatch.setattr(net, "legacy_bce", legacy)
    g = torch.Generator().manual_seed(3)
    outputs = tuple(torch.randn(2, 1, 40, 40, generator=g) for _ in range(4))
    mask = torch.rand(2, 1, 40, 40, generator=g)
    expected = sum(structure_loss(m, mask, legacy_bce=legacy).item() for m in outputs)
    assert net.loss(outputs, mask).item() == pytest.approx(expected, rel=1e-6)
