"""PraNet-V2 on both backbones against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from baselines import pranet_v2
from baselines.losses import edge_weight, structure_loss
from baselines.pranet_v2 import PraNetV2

State = dict[str, Tensor]
Norm = Callable[[State, str, Tensor], Tensor]
BUILDERS = {"pranet_v2": pranet_v2.build, "pranet_v2_res2net": pranet_v2.build_res2net}
STAGES = tuple((f"backbone.patch_embed{n}", f"backbone.block{n}", f"backbone.norm{n}") for n in (1, 2, 3, 4))


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def net(
    request: pytest.FixtureRequest,
    shaken: Callable[..., nn.Module],
    settled: Callable[..., nn.Module],
    image: Tensor,
) -> PraNetV2:
    torch.manual_seed(0)
    model = shaken(BUILDERS[request.param]())
    return cast(PraNetV2, settled(model, image))


def up2(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="bilinear", align_corners=True)


def scale(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class Restated:
    """The head's formulas on a state dict."""

    def __init__(self, state: State, norm: Norm) -> None:
        self.s, self.norm = state, norm

    def cb(self, key: str, x: Tensor, pad: int | tuple[int, int] = 0, rate: int = 1) -> Tensor:
        x = F.conv2d(x, self.s[f"{key}.conv.weight"], padding=pad, dilation=rate)
        return self.norm(self.s, f"{key}.bn", x)

    def rfb(self, key: str, x: Tensor) -> Tensor:
        outs = [self.cb(f"{key}.branch0.0", x)]
        for i, k in ((1, 3), (2, 5), (3, 7)):
            y = self.cb(f"{key}.branch{i}.1", self.cb(f"{key}.branch{i}.0", x), (0, k // 2))
            outs.append(self.cb(f"{key}.branch{i}.3", self.cb(f"{key}.branch{i}.2", y, (k // 2, 0)), k, k))
        return F.relu(self.cb(f"{key}.conv_cat", torch.cat(outs, 1), 1) + self.cb(f"{key}.conv_res", x))

    def decode(self, x2: Tensor, x3: Tensor, x4: Tensor) -> tuple[Tensor, Tensor]:
        f2, f3, f4 = self.rfb("rfb2_1", x2), self.rfb("rfb3_1", x3), self.rfb("rfb4_1", x4)

        def unit(name: str, x: Tensor) -> Tensor:
            return self.cb(f"agg1.{name}", x, 1)

        b = unit("conv_upsample1", up2(f4)) * f3
        c = unit("conv_upsample2", up2(up2(f4))) * unit("conv_upsample3", up2(f3)) * f2
        d = unit("conv_concat2", torch.cat([b, unit("conv_upsample4", up2(f4))], 1))
        e = unit("conv4", unit("conv_concat3", torch.cat([c, unit("conv_upsample5", up2(d))], 1)))
        fg, bg = (F.conv2d(e, self.s[f"agg1.conv5_{k}.weight"], self.s[f"agg1.conv5_{k}.bias"]) for k in ("fg", "bg"))
        return fg, bg

    def branch(self, level: int, x: Tensor) -> tuple[Tensor, Tensor]:
        last, pad, last_pad = (5, 2, 0) if level == 4 else (4, 1, 1)
        x = self.cb(f"ra{level}_conv1", x)
        for i in range(2, last):
            x = F.relu(self.cb(f"ra{level}_conv{i}", x, pad))
        return tuple(self.cb(f"ra{level}_conv{last}_{kind}", x, last_pad) for kind in ("fg", "bg"))  # type: ignore[return-value]

    def maps(self, features: list[Tensor], *, softmax: bool) -> list[Tensor]:
        """The eight maps in the published order."""
        s_fg, s_bg = self.decode(*features)
        fg_above, bg_above, factor = s_fg, s_bg, 0.25
        fgs, bgs = [], []
        for level in (4, 3, 2):
            h, bg = self.branch(level, features[level - 2])
            difference = scale(fg_above, factor) - scale(bg_above, factor)
            attention = difference.softmax(1) if softmax else difference
            fg_above, bg_above, factor = h + h * attention, bg, 2
            fgs.insert(0, fg_above)
            bgs.insert(0, bg)
        every = [*zip(fgs, (8, 16, 32), strict=True), (s_fg, 8), *zip(bgs, (8, 16, 32), strict=True), (s_bg, 8)]
        return [scale(m, f) for m, f in every]

    def score(self, features: list[Tensor]) -> Tensor:
        """The scored map of the released network."""
        return torch.stack(self.maps(features, softmax=True)[:4]).sum(0)


@pytest.fixture(scope="module")
def features(net: PraNetV2, image: Tensor, backbone: Callable, pyramid_features: Callable) -> list[Tensor]:
    state = net.state_dict()
    with torch.no_grad():
        if net.name == "pranet_v2":
            return pyramid_features(state, image, STAGES)[1:]
        stages = tuple(f"backbone.layer{i}" for i in (1, 2, 3, 4))
        return backbone(state, image, ("backbone.conv1", "backbone.bn1"), stages)[2:]


@pytest.mark.parametrize("softmax", [True, False])
def test_equals_the_formulas(
    net: PraNetV2,
    features: list[Tensor],
    image: Tensor,
    batch_norm: Norm,
    assert_close: Callable,
    softmax: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert net.softmax, "as released, by default"
    monkeypatch.setattr(net, "softmax", softmax)
    with torch.no_grad():
        score, *maps = net(image)
        expected = Restated(net.state_dict(), batch_norm).maps(features, softmax=softmax)
    assert len(maps) == len(expected) == 8
    for own, other in zip(maps, expected, strict=True):
        assert_close(own, other)
    assert_close(score, expected[0] + expected[1] + expected[2] + expected[3])


def test_with_one_class_no_level_sees_another(net: PraNetV2, image: Tensor) -> None:
    """The heads of the decoder and of the background move their own maps alone."""
    touched = {"agg1.conv5_fg.bias": {3}, "agg1.conv5_bg.bias": {7}, "ra4_conv5_bg.bn.bias": {6}}
    touched |= {"ra4_conv5_fg.bn.bias": {2}, "ra3_conv4_bg.bn.bias": {5}, "ra3_conv4_fg.bn.bias": {1}}
    image = image[:1, :, :64]
    parameters = dict(net.named_parameters())
    with torch.no_grad():
        before = net(image)[1:]
        for key, expected in touched.items():
            parameters[key].add_(1.0)
            after = net(image)[1:]
            parameters[key].sub_(1.0)
            assert {i for i in range(8) if not torch.allclose(before[i], after[i])} == expected, key
    net.softmax = False
    _, f2, f3, f4, *_ = net(image)
    net.softmax = True
    for m in (f2, f3, f4):
        assert torch.autograd.grad(m.sum(), parameters["agg1.conv5_bg.bias"], retain_graph=True)[0].abs() > 1e-6


def test_a_side_branch_doubles_its_own_map_and_the_first_unit_has_no_activation(net: PraNetV2, image: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    hooks = [
        net.get_submodule("ra4_conv5_fg").register_forward_hook(lambda _, args, out: seen.update(h=out)),
        net.get_submodule("ra4_conv2").register_forward_pre_hook(lambda _, args: seen.update(z=args[0])),
        net.get_submodule("ra4_conv3").register_forward_pre_hook(lambda _, args: seen.update(y=args[0])),
    ]
    with torch.no_grad():
        f4 = net(image)[3]
    for hook in hooks:
        hook.remove()
    assert torch.allclose(f4, scale(2 * seen["h"], 32))
    assert seen["z"].min() < 0 == seen["y"].min()


def test_what_is_for_grey_images_and_the_classifier_are_dead(net: PraNetV2, image: Tensor) -> None:
    dead = {key: p for key, p in net.named_parameters() if key.startswith(("conv.", "backbone.fc."))}
    expected = 12 if net.name == "pranet_v2" else 2_049_012
    assert sum(p.numel() for p in dead.values()) == expected
    with torch.no_grad():
        before = net(image[:1])[0]
        for p in dead.values():
            p.add_(3.0)
        after = net(image[:1])[0]
        for p in dead.values():
            p.sub_(3.0)
    assert torch.equal(before, after)


def test_stochastic_depth_grows_to_a_tenth_in_training_only() -> None:
    with torch.device("meta"):
        net = pranet_v2.build()
    rates = [module.drop_prob for module in net.backbone.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.1 * i / 15 for i in range(16)])


def slow_loss(fgs: list[Tensor], bgs: list[Tensor], mask: Tensor) -> float:
    """Image by image and level by level."""
    total = 0.0
    for fg, bg in zip(fgs, bgs, strict=True):
        for i in range(len(mask)):
            g, p = mask[i, 0], 1 / (1 + torch.exp(-fg[i, 0]))
            q = 1 / (1 + torch.exp(-bg[i, 0]))
            w = edge_weight(mask[i : i + 1])[0, 0]
            both = -(g * p.log() + (1 - g) * (1 - p).log())
            other = -((1 - g) * q.log() + g * (1 - q).log())
            inter, union = (w * p * g).sum(), (w * (p + g)).sum()
            iou = 1 - (inter + 1) / (union - inter + 1)
            total += float((w * both).sum() / w.sum() + iou + 0.8 * (w * other).sum() / w.sum()) / len(mask)
    return total


def test_native_loss_equals_its_formula_with_the_foregrounds_weights(net: PraNetV2) -> None:
    g = torch.Generator().manual_seed(3)
    score, *maps = (torch.randn(2, 1, 40, 48, generator=g, dtype=torch.float64) for _ in range(9))
    mask = torch.zeros(2, 1, 40, 48, dtype=torch.float64)
    mask[0, 0, :12, 8:20] = 1  # at the border, where the weights of 1 - mask would differ
    mask[1, 0, 10:23, 0:9] = 0.7
    own = net.loss((score, *maps), mask).item()
    assert own == pytest.approx(slow_loss(maps[:4], maps[4:], mask), rel=1e-9)
    assert own == pytest.approx(net.loss((score + 5, *maps), mask).item()), "the scored sum is not trained itself"
    plain = sum(structure_loss(m, mask, legacy_bce=True).item() for m in maps[:4])
    weighted = sum(structure_loss(m, mask).item() for m in maps[:4])
    assert abs(plain - weighted) > 1e-4, "PraNet's un-weighted BCE would show"


def test_a_criterion_sees_the_background_maps_against_the_background(net: PraNetV2) -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 4:20, 4:20] = 1
    right = 30 * (2 * mask - 1)
    outputs = (right,) * 5 + (-right,) * 4
    assert net.loss(outputs, mask, criterion=F.binary_cross_entropy_with_logits).item() < 1e-6


def test_dropping_the_background_leaves_the_scored_map(image: Tensor, stirred: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    whole = stirred(pranet_v2.build())
    less = stirred(pranet_v2.build(drop="background"))
    less.load_state_dict({key: value for key, value in whole.state_dict().items() if key in less.state_dict()})
    with torch.no_grad():
        full, part = whole(image[:, :, :32, :32]), less(image[:, :, :32, :32])
    assert len(part) == 5
    assert all(torch.equal(one, other) for one, other in zip(part, full[:5], strict=True))
    mask = (torch.rand(2, 1, 32, 32) > 0.5).double()
    expected = sum(structure_loss(m, mask).item() for m in part[1:])
    assert less.loss(part, mask).item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="reads the background maps"):
        pranet_v2.build(drop="background", softmax=False)
