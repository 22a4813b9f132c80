"""HarDNet-MSEG against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import hardnet_mseg
from baselines.hardnet_mseg import ConvNormAct, HarDNetMSEG, HarmonicBlock, layer_width, link
from baselines.losses import structure_loss

State = dict[str, Tensor]
Norm = Callable[[State, str, Tensor], Tensor]
LINKS = {
    1: [0], 2: [1, 0], 3: [2], 4: [3, 2, 0], 5: [4], 6: [5, 4], 7: [6], 8: [7, 6, 4, 0],
    9: [8], 10: [9, 8], 11: [10], 12: [11, 10, 8], 13: [12], 14: [13, 12], 15: [14], 16: [15, 14, 12, 8, 0],
}  # fmt: skip
# index -> kind of layer; blocks with their number of layers
LAYERS = {3: 8, 6: 16, 8: 16, 11: 16, 14: 4}


@pytest.fixture(scope="module")
def net(stirred: Callable[..., nn.Module], settled: Callable[..., nn.Module], image: Tensor) -> HarDNetMSEG:
    torch.manual_seed(0)
    model = stirred(hardnet_mseg.build())
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, ConvNormAct):
                module.norm.weight.mul_(3)  # so that some values pass six
    return settled(model, image)


def up2(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="bilinear", align_corners=True)


class Restated:
    """The network's formulas on a state dict."""

    def __init__(self, state: State, norm: Norm) -> None:
        self.s, self.norm = state, norm

    def cr(self, key: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.s[f"hardnet.base.{key}.conv.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        return self.norm(self.s, f"hardnet.base.{key}.norm", x).clamp(0, 6)

    def block(self, index: int, x: Tensor) -> Tensor:
        outs, last = {0: x}, LAYERS[index]
        for n in range(1, last + 1):
            outs[n] = self.cr(f"{index}.layers.{n - 1}", torch.cat([outs[k] for k in LINKS[n]], 1))
        return torch.cat([outs[n] for n in sorted({*range(1, last, 2), last})], 1)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(self.cr("1", self.cr("0", x, 2)), 3, 2, 1)
        x = F.max_pool2d(self.cr("4", self.block(3, x)), 2)
        x = self.cr("7", self.block(6, x))
        x2 = self.cr("9", self.block(8, x))
        x3 = self.cr("12", self.block(11, F.max_pool2d(x2, 2)))
        return x2, x3, self.cr("15", self.block(14, F.max_pool2d(x3, 2)))

    def cb(self, key: str, x: Tensor, pad: int | tuple[int, int] = 0, rate: int = 1) -> Tensor:
        x = F.conv2d(x, self.s[f"{key}.conv.weight"], padding=pad, dilation=rate)
        return self.norm(self.s, f"{key}.bn", x)

    def rfb(self, key: str, x: Tensor) -> Tensor:
        outs = [self.cb(f"{key}.branch0.0", x)]
        for i, k in ((1, 3), (2, 5), (3, 7)):
            y = self.cb(f"{key}.branch{i}.1", self.cb(f"{key}.branch{i}.0", x), (0, k // 2))
            outs.append(self.cb(f"{key}.branch{i}.3", self.cb(f"{key}.branch{i}.2", y, (k // 2, 0)), k, k))
        return F.relu(self.cb(f"{key}.conv_cat", torch.cat(outs, 1), 1) + self.cb(f"{key}.conv_res", x))

    def __call__(self, image: Tensor) -> Tensor:
        x2, x3, x4 = self.features(image)
        f2, f3, f4 = self.rfb("rfb2_1", x2), self.rfb("rfb3_1", x3), self.rfb("rfb4_1", x4)

        def unit(name: str, x: Tensor) -> Tensor:
            return self.cb(f"agg1.{name}", x, 1)

        b = unit("conv_upsample1", up2(f4)) * f3
        c = unit("conv_upsample2", up2(up2(f4))) * unit("conv_upsample3", up2(f3)) * f2
        d = unit("conv_concat2", torch.cat([b, unit("conv_upsample4", up2(f4))], 1))
        e = unit("conv_concat3", torch.cat([c, unit("conv_upsample5", up2(d))], 1))
        s = F.conv2d(unit("conv4", e), self.s["agg1.conv5.weight"], self.s["agg1.conv5.bias"])
        return F.interpolate(s, scale_factor=8, mode="bilinear", align_corners=False)


def test_equals_the_formulas(net: HarDNetMSEG, image: Tensor, batch_norm: Norm, assert_close: Callable) -> None:
    with torch.no_grad():
        outputs = net(image)
        assert len(outputs) == 1
        assert_close(outputs[0], Restated(net.state_dict(), batch_norm)(image))


def test_links_and_widths_are_the_published_ones(net: HarDNetMSEG) -> None:
    assert {n: list(link(n)) for n in LINKS} == LINKS
    widths = {
        14: (14, 24, 40, 68),
        16: (16, 28, 46, 78, 134),
        20: (20, 34, 58, 98, 168),
        40: (40, 68, 116, 196, 334),
        160: (160, 272, 462),
    }
    for growth, expected in widths.items():
        assert tuple(layer_width(2**z, growth) for z in range(len(expected))) == expected
    blocks = {i: layer for i, layer in enumerate(net.hardnet.base) if isinstance(layer, HarmonicBlock)}
    assert {i: block.out_ch for i, block in blocks.items()} == {3: 124, 6: 262, 8: 328, 11: 654, 14: 782}
    assert [layer.conv.in_channels for layer in blocks[3].layers] == [64, 78, 24, 102, 40, 54, 24, 142]
    last = {i: block.layers[-1].conv.in_channels for i, block in blocks.items()}
    assert last == {3: 142, 6: 296, 8: 466, 11: 740, 14: 1072}


def test_taps_are_taken_after_an_activation_that_ends_at_six(net: HarDNetMSEG, image: Tensor) -> None:
    with torch.no_grad():
        taps = net.hardnet(image)
    assert [tap.shape[1:] for tap in taps] == [(320, 12, 8), (640, 6, 4), (1024, 3, 2)]
    assert all(tap.min() == 0 and tap.max() <= 6 for tap in taps)
    assert max(tap.max() for tap in taps) == 6


def test_what_the_released_file_carries_and_nothing_reads(net: HarDNetMSEG, image: Tensor) -> None:
    dead = [key for key in net.state_dict() if key.startswith(net.dead_prefixes)]
    parameters = {key: p for key, p in net.named_parameters() if key.startswith(net.dead_prefixes)}
    num_dead = sum(p.numel() for p in parameters.values())
    assert (len(dead), num_dead) == (106, 15_919_407)
    assert sum(p.numel() for p in net.parameters()) - num_dead == 17_423_837
    with torch.no_grad():
        before = net(image)[0]
        for p in parameters.values():
            p.add_(1.0)
        after = net(image)[0]
        for p in parameters.values():
            p.sub_(1.0)
    assert torch.equal(before, after)


def test_imagenet_weights_come_from_the_authors_file_with_its_classifier(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hardnet68\.pth .*weights=FILE.*pretrained=false"):
        hardnet_mseg.build(pretrained=True)
    torch.manual_seed(4)
    trunk = hardnet_mseg.HarDNet68().state_dict()
    torch.save(trunk, tmp_path / "hardnet68.pth")
    model = hardnet_mseg.build(pretrained=True, weights=str(tmp_path / "hardnet68.pth"))
    assert torch.equal(model.hardnet.base[14].layers[3].conv.weight, trunk["base.14.layers.3.conv.weight"])
    assert model.weights_info is not None and model.weights_info["name"] == "hardnet68.pth"
    torch.save({k: v for k, v in trunk.items() if not k.startswith("base.16")}, tmp_path / "bare.pth")
    with pytest.raises(ValueError, match=r"2 missing: base\.16\.3\.weight, base\.16\.3\.bias"):
        hardnet_mseg.build(weights=str(tmp_path / "bare.pth"))


@pytest.mark.parametrize("legacy", [True, False])
def test_native_loss_is_the_structure_loss(net: HarDNetMSEG, legacy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert net.legacy_bce, "as released, by default"
    monkeypatch.setattr(net, "legacy_bce", legacy)
    g = torch.Generator().manual_seed(3)
    logits, mask = torch.randn(2, 1, 40, 40, generator=g), torch.rand(2, 1, 40, 40, generator=g)
    assert net.loss((logits,), mask).item() == structure_loss(logits, mask, legacy_bce=legacy).item()
