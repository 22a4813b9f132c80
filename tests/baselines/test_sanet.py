"""SANet against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines import sanet
from baselines.sanet import SANet

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def net(stirred: Callable[..., nn.Module]) -> SANet:
    torch.manual_seed(0)
    return stirred(sanet.build())


def grow(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


@pytest.fixture(scope="module")
def coarse(net: SANet, image: Tensor, backbone: Callable, batch_norm: Callable[..., Tensor]) -> Tensor:
    """The 1/8 map by the formulas."""
    s: State = net.state_dict()

    def linear(key: str, x: Tensor) -> Tensor:
        return F.relu(batch_norm(s, f"{key}.1", F.conv2d(x, s[f"{key}.0.weight"], s[f"{key}.0.bias"])))

    with torch.no_grad():
        stages = tuple(f"bkbone.layer{i}" for i in (1, 2, 3, 4))
        _, _, c3, c4, c5 = backbone(s, image, ("bkbone.conv1", "bkbone.bn1"), stages)
        r3 = linear("linear3", c3)
        size = (r3.shape[2], r3.shape[3])
        r4, r5 = grow(linear("linear4", c4), size), grow(linear("linear5", c5), size)
        cascade = torch.cat([r5, r4 * r5, r3 * r4 * r5], 1)
        return F.conv2d(cascade, s["predict.weight"], s["predict.bias"])


def test_forward_equals_the_formulas(net: SANet, image: Tensor, coarse: Tensor, assert_close: Callable) -> None:
    with torch.no_grad():
        outputs = net(image)
    assert len(outputs) == 1
    assert_close(outputs[0], grow(coarse, (96, 64)))


def test_logits_at_a_size_come_from_the_coarse_map_in_one_step(
    net: SANet, image: Tensor, coarse: Tensor, assert_close: Callable
) -> None:
    with torch.no_grad():
        own = net.logits_at(image, (150, 131))
        two_steps = grow(net(image)[0], (150, 131))
    assert_close(own, grow(coarse, (150, 131)))
    assert (own - two_steps).abs().max() > 1e-2 * own.std()


def test_a_silent_deepest_level_silences_the_others(net: SANet, image: Tensor) -> None:
    bn = net.linear5[1]
    kept = bn.weight.clone(), bn.bias.clone()
    with torch.no_grad():
        bn.weight.zero_()
        bn.bias.fill_(-1.0)  # the ReLU then gives 0
        logits = net(image)[0]
        bn.weight.copy_(kept[0])
        bn.bias.copy_(kept[1])
    assert torch.allclose(logits, net.predict.bias.expand_as(logits))


def test_head_starts_by_fan_in_with_zero_bias() -> None:
    net = sanet.build()
    weight = net.linear5[0].weight
    assert weight.std().item() == pytest.approx((2 / 2048) ** 0.5, rel=0.02)  # by fan-out it would be (2 / 64)
    assert all(bool((m.bias == 0).all()) for m in (net.linear5[0], net.linear4[0], net.linear3[0], net.predict))


def test_native_dice_has_its_one_in_the_denominator_only(net: SANet) -> None:
    logits = torch.tensor([[[[0.0, 0.0]]], [[[0.0, 0.0]]]])  # p = 0.5 everywhere
    mask = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 0.0]]]])
    # BCE: ln 2. Dice: 1 - 2 * 0.5 / (1 + 1 + 1) = 2/3 for the first image, 1 - 0 / (1 + 0 + 1) = 1 for the second
    assert net.loss((logits,), mask).item() == pytest.approx(0.6931472 + (2 / 3 + 1) / 2, abs=1e-6)


class TestProbabilityCorrection:
    def test_divides_each_sign_by_its_share(self) -> None:
        z = torch.tensor([[2.0, -1.0, -2.0, 0.0]])  # shares 1/4 and 2/4
        assert torch.allclose(sanet.probability_correction(z), torch.tensor([[8.0, -2.0, -4.0, 0.0]]))

    @pytest.mark.parametrize("value", [3.0, -3.0, 0.0])
    def test_leaves_a_map_of_one_sign_alone(self, value: float) -> None:
        z = torch.full((2, 1, 4, 4), value)
        assert torch.equal(sanet.probability_correction(z), z)

    def test_treats_each_map_by_itself_and_keeps_signs(self) -> None:
        z = torch.randn(3, 1, 16, 16) + torch.tensor([-2.0, 0.0, 2.0]).view(3, 1, 1, 1)
        out = sanet.probability_correction(z)
        assert torch.equal(out.sign(), z.sign())
        for i in range(3):
            assert torch.equal(out[i], sanet.probability_correction(z[i]))
