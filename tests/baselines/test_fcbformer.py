"""FCBFormer against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import fcbformer
from baselines.fcbformer import FCBFormer

State = dict[str, Tensor]
STAGES = tuple((f"TB.backbone.{n}", f"TB.backbone.{n + 1}", f"TB.backbone.{n + 2}") for n in (0, 3, 6, 9))
STRIDED = (3, 6, 9, 12, 15)
GROWING = (2, 5, 8, 11, 14)


@pytest.fixture(scope="module")
def net(shaken: Callable[..., nn.Module]) -> FCBFormer:
    torch.manual_seed(0)
    return shaken(fcbformer.build())


@pytest.fixture(scope="module")
def one(image: Tensor) -> Tensor:
    return image[:1, :, :64]


@pytest.fixture(scope="module")
def logits(net: FCBFormer, one: Tensor) -> Tensor:
    with torch.no_grad():
        return net(one)[0]


def nearest(x: Tensor, height: int, width: int) -> Tensor:
    rows = torch.arange(height) * x.shape[2] // height
    columns = torch.arange(width) * x.shape[3] // width
    return x[:, :, rows][:, :, :, columns]


class Restated:
    """The formulas on a state dict."""

    def __init__(self, state: State) -> None:
        self.s = state

    def conv(self, key: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.s[f"{key}.weight"]
        return F.conv2d(x, weight, self.s[f"{key}.bias"], stride=stride, padding=weight.shape[2] // 2)

    def half(self, key: str, x: Tensor) -> Tensor:
        groups = x.unflatten(1, (32, -1))
        mean = groups.mean((2, 3, 4), keepdim=True)
        spread = ((groups - mean) ** 2).mean((2, 3, 4), keepdim=True)
        y = ((groups - mean) / torch.sqrt(spread + 1e-5)).flatten(1, 2)
        y = y * self.s[f"{key}.0.weight"][:, None, None] + self.s[f"{key}.0.bias"][:, None, None]
        return self.conv(f"{key}.2", y * torch.sigmoid(y))

    def block(self, key: str, x: Tensor) -> Tensor:
        y = self.half(f"{key}.out_layers", self.half(f"{key}.in_layers", x))
        return y + (self.conv(f"{key}.skip", x) if f"{key}.skip.weight" in self.s else x)

    def pair(self, key: str, x: Tensor) -> Tensor:
        return self.block(f"{key}.1", self.block(f"{key}.0", x))

    def transformer(self, features: list[Tensor]) -> Tensor:
        levels = [nearest(self.pair(f"TB.LE.{i}", x), 88, 88) for i, x in enumerate(features)]
        t = levels[3]
        for i in (2, 1, 0):
            t = self.pair(f"TB.SFA.{i}", torch.cat([levels[i], t], 1))
        return t

    def convolutional(self, x: Tensor) -> Tensor:
        stack = []
        for k in range(18):
            key = f"FCB.enc_blocks.{k}"
            if k == 0:
                x = self.conv(key, x)
            elif k in STRIDED:
                x = self.conv(f"{key}.0", x, 2)
            else:
                x = self.block(f"{key}.0", x)
            stack.append(x)
        x = self.pair("FCB.middle_block", x)
        for k in range(18):
            key = f"FCB.dec_blocks.{k}"
            x = self.block(f"{key}.0", torch.cat([x, stack.pop()], 1))
            if k in GROWING:
                x = self.conv(f"{key}.1.1", x.repeat_interleave(2, 2).repeat_interleave(2, 3))
        return x

    def head(self, t: Tensor, f: Tensor) -> Tensor:
        return self.conv("PH.2", self.pair("PH", torch.cat([nearest(t, f.shape[2], f.shape[3]), f], 1)))


def test_equals_the_formulas(
    net: FCBFormer, one: Tensor, logits: Tensor, pyramid_features: Callable, assert_close: Callable
) -> None:
    r = Restated(net.state_dict())
    with torch.no_grad():
        t, f = r.transformer(pyramid_features(r.s, one, STAGES)), r.convolutional(one)
        expected = r.head(t, f)
    assert t.shape == (1, 64, 88, 88) and f.shape == (1, 32, 64, 64)
    assert_close(logits, expected)


def test_every_group_norm_has_32_groups_and_no_norm_has_running_statistics(net: FCBFormer) -> None:
    norms = [m for m in net.modules() if isinstance(m, nn.GroupNorm)]
    assert {m.num_groups for m in norms} == {32} and {m.eps for m in norms} == {1e-5}
    assert {m.num_channels for m in norms} == {32, 64, 96, 128, 192, 256, 320, 512}
    assert not list(net.buffers())


def test_the_skip_sees_the_raw_input() -> None:
    block = fcbformer.ResidualBlock(64, 32)
    with torch.no_grad():
        block.out_layers[2].weight.zero_()
        block.out_layers[2].bias.zero_()
        x = torch.randn(1, 64, 5, 5)
        assert torch.equal(block(x), F.conv2d(x, block.skip.weight, block.skip.bias))


def test_neither_training_nor_a_size_that_fits_changes_the_map(net: FCBFormer, one: Tensor, logits: Tensor) -> None:
    net.size = 64
    try:
        with torch.no_grad():  # no batch norm, no dropout, no stochastic depth
            assert torch.equal(net.train()(one)[0], logits)
        with pytest.raises(ValueError, match="image size 64x96: fcbformer was built with size=64"):
            net(torch.zeros(1, 3, 64, 96, dtype=torch.float64))
    finally:
        net.eval().size = None


def test_dice_has_its_one_inside_the_doubled_bracket(net: FCBFormer) -> None:
    empty = torch.zeros(1, 1, 4, 4)
    assert net.loss((torch.full_like(empty, -50.0),), empty).item() == pytest.approx(-1.0, abs=1e-5)
    # p = 1/2 and 3/4, G = 1 and 0: S(pG) 1/2, S(p) 5/4, S(G) 1
    logits, mask = torch.tensor([[[[0.0, math.log(3.0)]]]]), torch.tensor([[[[1.0, 0.0]]]])
    cross = (math.log(2) + math.log(4)) / 2
    assert net.loss((logits,), mask).item() == pytest.approx(cross + 1 - 2 * 1.5 / 3.25, abs=1e-6)


def test_cross_entropy_is_taken_on_probabilities_where_asked(net: FCBFormer, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, mask = torch.tensor([[[[-200.0, 3.0]]]]), torch.tensor([[[[1.0, 1.0]]]])
    stable = net.loss((logits,), mask).item()
    monkeypatch.setattr(net, "legacy_bce", True)
    assert stable - net.loss((logits,), mask).item() == pytest.approx(50, abs=1e-3), "its logarithm stops at -100"
