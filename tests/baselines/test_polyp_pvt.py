"""Polyp-PVT against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import polyp_pvt
from baselines.losses import structure_loss
from baselines.polyp_pvt import PolypPVT

State = dict[str, Tensor]
STAGES = tuple((f"backbone.patch_embed{n}", f"backbone.block{n}", f"backbone.norm{n}") for n in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def net(shaken: Callable[..., nn.Module]) -> PolypPVT:
    torch.manual_seed(0)
    return shaken(polyp_pvt.build())


def aligned(x: Tensor, factor: float) -> Tensor:
    size = (round(x.shape[2] * factor), round(x.shape[3] * factor))
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def grow(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)


class Restated:
    """The decoder's formulas on a state dict."""

    def __init__(self, state: State, norm: Callable[[State, str, Tensor], Tensor]) -> None:
        self.s, self.norm = state, norm

    def cb(self, key: str, x: Tensor, pad: int = 0) -> Tensor:
        return self.norm(self.s, f"{key}.bn", F.conv2d(x, self.s[f"{key}.conv.weight"], padding=pad))

    def gates(self, x: Tensor) -> Tensor:
        def squeeze(v: Tensor) -> Tensor:
            hidden = (v @ self.s["ca.fc1.weight"][:, :, 0, 0].T).clamp_min(0)
            return hidden @ self.s["ca.fc2.weight"][:, :, 0, 0].T

        flat = x.flatten(2)
        z = squeeze(flat.mean(2)) + squeeze(flat.max(2).values)
        x = x * torch.sigmoid(z)[:, :, None, None]
        both = torch.stack([x.mean(1), x.max(1).values], 1)
        return x * torch.sigmoid(F.conv2d(both, self.s["sa.conv1.weight"], padding=3))

    def fuse(self, f4: Tensor, f3: Tensor, f2: Tensor) -> Tensor:
        def unit(name: str, x: Tensor) -> Tensor:
            return self.cb(f"CFM.{name}", x, 1)

        b = unit("conv_upsample1", aligned(f4, 2)) * f3
        c = unit("conv_upsample2", aligned(aligned(f4, 2), 2)) * unit("conv_upsample3", aligned(f3, 2)) * f2
        d = unit("conv_concat2", torch.cat([b, unit("conv_upsample4", aligned(f4, 2))], 1))
        e = unit("conv_concat3", torch.cat([c, unit("conv_upsample5", aligned(d, 2))], 1))
        return unit("conv4", e)

    def aggregate(self, f: Tensor, t: Tensor) -> Tensor:
        s = self.s

        def conv(key: str, x: Tensor) -> Tensor:
            weight, bias = s[f"SAM.{key}.weight"][:, :, 0, 0], s.get(f"SAM.{key}.bias")
            x = torch.einsum("oi,bihw->bohw", weight, x)
            return x if bias is None else x + bias[:, None, None]

        gate = t.exp()[:, 1] / t.exp().sum(1)
        states, projected = conv("conv_state", f), conv("conv_proj", f)
        cells = F.adaptive_avg_pool2d(projected * gate[:, None], (6, 6))[:, :, 1:5, 1:5]
        anchors = cells.reshape(-1, 16, 16)
        likeness = torch.einsum("bsn,bshw->bnhw", anchors, projected)
        assign = torch.softmax(likeness, 1)
        x = torch.einsum("bshw,bnhw->bsn", states, assign)
        h = torch.einsum("mn,bsn->bsm", s["SAM.gcn.conv1.weight"][:, :, 0], x) + s["SAM.gcn.conv1.bias"]
        h = torch.einsum("rs,bsn->brn", s["SAM.gcn.conv2.weight"][:, :, 0], h - x).clamp_min(0)
        return f + conv("conv_extend", torch.einsum("bsn,bnhw->bshw", h, assign))

    def out(self, key: str, x: Tensor) -> Tensor:
        return grow(F.conv2d(x, self.s[f"{key}.weight"], self.s[f"{key}.bias"]))

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        x1, x2, x3, x4 = features
        f = self.fuse(self.cb("Translayer4_1", x4), self.cb("Translayer3_1", x3), self.cb("Translayer2_1", x2))
        t = aligned(self.cb("Translayer2_0", self.gates(x1)), 0.5)
        return self.out("out_CFM", f), self.out("out_SAM", self.aggregate(f, t))


def test_equals_the_formulas(
    net: PolypPVT, image: Tensor, pyramid_features: Callable, batch_norm: Callable, assert_close: Callable
) -> None:
    r = Restated(net.state_dict(), batch_norm)
    with torch.no_grad():
        first, second = r.forward(pyramid_features(r.s, image, STAGES))
        outputs = net(image)
    for own, other in zip(outputs, (first + second, first, second), strict=True):
        assert_close(own, other)


def test_the_scored_map_is_a_sum_of_logits_and_no_mean(net: PolypPVT, image: Tensor) -> None:
    with torch.no_grad():
        scored, first, second = net(image)
    assert torch.equal(scored, first + second)


def test_only_one_channel_of_the_guides_softmax_is_used(net: PolypPVT) -> None:
    x = torch.randn(1, 32, 12, 8, dtype=torch.float64)
    guide = torch.randn(1, 32, 12, 8, dtype=torch.float64)
    others = guide.clone()
    others[:, 2:] = guide[:, 2:].flip(1)  # the sum over channels stays, and so does channel 1
    with torch.no_grad():
        assert torch.allclose(net.SAM(x, guide), net.SAM(x, others), rtol=1e-12, atol=1e-12)
        others[:, [1, 2]] = others[:, [2, 1]]
        assert not torch.allclose(net.SAM(x, guide), net.SAM(x, others), rtol=1e-6, atol=1e-6)


def test_what_the_graph_adds_grows_with_the_image(net: PolypPVT) -> None:
    # the same pixels on four times the area: sums over pixels grow fourfold, means would not
    x = torch.randn(1, 32, 6, 6, dtype=torch.float64)
    guide = torch.randn(1, 32, 6, 6, dtype=torch.float64)
    wide = [v.repeat_interleave(2, 2).repeat_interleave(2, 3) for v in (x, guide)]
    seen: list[Tensor] = []
    hook = net.SAM.gcn.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        net.SAM(x, guide)
        net.SAM(*wide)
    hook.remove()
    assert torch.allclose(seen[1], 4 * seen[0])


def test_the_graphs_residual_is_subtracted_before_its_second_layer(net: PolypPVT) -> None:
    gcn = net.SAM.gcn
    with torch.no_grad():
        kept = gcn.conv1.weight.clone(), gcn.conv1.bias.clone()
        gcn.conv1.weight.copy_(torch.eye(16).unsqueeze(2))
        gcn.conv1.bias.zero_()
        assert not gcn(torch.randn(1, 16, 16, dtype=torch.float64)).any(), "an identity minus its input is nothing"
        gcn.conv1.weight.copy_(kept[0])
        gcn.conv1.bias.copy_(kept[1])


def test_units_have_no_activation(net: PolypPVT) -> None:
    x = torch.randn(1, 512, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        middle = net.Translayer4_1(torch.zeros_like(x))
        assert torch.allclose(net.Translayer4_1(x) - middle, middle - net.Translayer4_1(-x))


@pytest.mark.parametrize("legacy", [True, False])
def test_native_loss_sums_the_structure_loss_over_the_two_supervised_maps(
    net: PolypPVT, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert net.legacy_bce, "as released, by default"
    monkeypatch.setattr(net, "legacy_bce", legacy)
    g = torch.Generator().manual_seed(3)
    outputs = tuple(torch.randn(2, 1, 40, 40, generator=g) for _ in range(3))
    mask = torch.rand(2, 1, 40, 40, generator=g)
    expected = sum(structure_loss(m, mask, legacy_bce=legacy).item() for m in outputs[1:])
    assert net.loss(outputs, mask).item() == pytest.approx(expected, rel=1e-6)
