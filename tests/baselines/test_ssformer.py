"""SSFormer against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from baselines import ssformer
from baselines.ssformer import SSFormer, pixel_loss

State = dict[str, Tensor]
STAGES = tuple((f"backbone.patch_embed{n}", f"backbone.block{n}", f"backbone.norm{n}") for n in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def net(shaken: Callable[..., nn.Module]) -> SSFormer:
    torch.manual_seed(0)
    return shaken(ssformer.build_s())


def restated(s: State, features: list[Tensor], norm: Callable[[State, str, Tensor], Tensor]) -> Tensor:
    """The decoder's formulas on a state dict."""
    size = features[0].shape[2:]
    levels = []
    for number, x in enumerate(features, start=1):
        for layer in (0, 2):
            x = F.conv2d(x, s[f"decode_head.linear_c{number}.proj.{layer}.weight"], padding=1).clamp_min(0)
        levels.append(F.interpolate(x, size=size, mode="bilinear", align_corners=False))
    fused = levels[3]
    for unit, level in (("34", levels[2]), ("2", levels[1]), ("1", levels[0])):
        key = f"decode_head.linear_fuse{unit}"
        x = torch.einsum("oi,bihw->bohw", s[f"{key}.conv.weight"][:, :, 0, 0], torch.cat([fused, level], 1))
        fused = norm(s, f"{key}.bn", x).clamp_min(0)
    logits = F.conv2d(fused, s["decode_head.linear_pred.weight"], s["decode_head.linear_pred.bias"])
    return F.interpolate(logits, size=(4 * size[0], 4 * size[1]), mode="bilinear", align_corners=True)


def check(model: nn.Module, image: Tensor, features: Callable, norm: Callable, assert_close: Callable) -> None:
    state = model.state_dict()
    with torch.no_grad():
        expected = restated(state, features(state, image, STAGES), norm)
        (own,) = model(image)
    assert_close(own, expected)


def test_s_equals_the_formulas(
    net: SSFormer, image: Tensor, pyramid_features: Callable, batch_norm: Callable, assert_close: Callable
) -> None:
    check(net, image, pyramid_features, batch_norm, assert_close)


@pytest.mark.slow
def test_l_equals_the_formulas(
    shaken: Callable, image: Tensor, pyramid_features: Callable, batch_norm: Callable, assert_close: Callable
) -> None:
    torch.manual_seed(0)
    check(shaken(ssformer.build_l()), image[:1, :, :64], pyramid_features, batch_norm, assert_close)


def test_the_fourth_fusion_unit_is_dead(net: SSFormer, image: Tensor) -> None:
    dead = [p for key, p in net.named_parameters() if key.startswith("decode_head.linear_fuse.")]
    assert sum(p.numel() for p in dead) == 262_656
    (logits,) = net(image[:1])
    assert all(grad is None for grad in torch.autograd.grad(logits.sum(), dead, allow_unused=True))


def test_dropout_acts_on_single_values_and_in_training_only(net: SSFormer) -> None:
    seen: dict[str, Tensor] = {}
    hook = net.decode_head.linear_pred.register_forward_pre_hook(lambda _, args: seen.update(x=args[0]))
    features = [torch.rand(2, w, 32 >> i, 32 >> i, dtype=torch.float64) for i, w in enumerate((64, 128, 320, 512))]
    try:
        with torch.no_grad():
            net.decode_head(*features)
            before = seen["x"] != 0
            net.decode_head.dropout.train()
            net.decode_head(*features)
            after = seen["x"] != 0
        assert (after.sum() / before.sum()).item() == pytest.approx(0.9, abs=0.01)
        kept = after.flatten(2).sum(2) / before.flatten(2).sum(2)
        assert kept[before.flatten(2).sum(2) > 500].min() > 0.8, "whole channels do not go together"
    finally:
        net.decode_head.dropout.eval()
        hook.remove()


def test_emphasis_has_neither_norm_nor_bias_and_two_rectifiers(net: SSFormer) -> None:
    kinds = [type(part) for part in net.decode_head.linear_c3.proj]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU]
    x = torch.randn(1, 320, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(net.decode_head.linear_c3(3 * x), 3 * net.decode_head.linear_c3(x))


def test_a_map_is_grown_with_aligned_corners(net: SSFormer, image: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    hook = net.decode_head.register_forward_hook(lambda _, args, out: seen.update(coarse=out))
    with torch.no_grad():
        (logits,) = net(image)
    hook.remove()
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert torch.allclose(logits[..., row, column], seen["coarse"][..., row, column])


def test_fusion_starts_as_mmcv_starts_it() -> None:
    torch.manual_seed(0)
    weight = ssformer.build_s().decode_head.linear_fuse34.conv.weight
    assert weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02)


def test_pixel_loss_by_hand() -> None:
    # p = 3/4, G = 1: BCE ln 4/3, 1 - 2.5/2.75; p = 1/2, G = 0: BCE ln 2, 1 - 1/1.5
    logits = torch.tensor([[[[math.log(3.0), 0.0]]]])
    mask = torch.tensor([[[[1.0, 0.0]]]])
    expected = (math.log(4 / 3) + 1 - 2.5 / 2.75 + math.log(2) + 1 - 1 / 1.5) / 2
    assert pixel_loss(logits, mask).item() == pytest.approx(expected, abs=1e-6)


def test_native_loss_takes_the_sigmoid_twice_as_released_unless_told_otherwise(
    net: SSFormer, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(2, 1, 16, 16, generator=g, dtype=torch.float64)
    mask = torch.rand(2, 1, 16, 16, generator=g, dtype=torch.float64)
    assert net.double_sigmoid, "as released, by default"
    q = 1 / (1 + torch.exp(-z))
    r = 1 / (1 + torch.exp(-q))
    assert r.min() >= 0.5 and r.max() <= 0.7311
    cross = -(mask * r.log() + (1 - mask) * (1 - r).log())
    expected = (cross + 1 - (2 * r * mask + 1) / (r + mask + 1)).mean()
    assert net.loss((z,), mask).item() == pytest.approx(expected.item(), rel=1e-9)
    monkeypatch.setattr(net, "double_sigmoid", False)
    assert net.loss((z,), mask).item() == pytest.approx(pixel_loss(z, mask).item(), rel=1e-9)


def test_the_released_loss_pushes_a_foreground_pixel_outwards_without_end(net: SSFormer) -> None:
    z = torch.tensor([[[[2.0, 4.0, 6.0]]]], requires_grad=True)
    (grad,) = torch.autograd.grad(net.loss((z,), torch.ones(1, 1, 1, 3)), z)
    assert (grad < 0).all() and (grad.abs().diff() < 0).all()


def test_l_has_the_published_keys_parameters_and_cost() -> None:
    contract = (Path(__file__).parent / "contracts" / "ssformer_l.txt").read_text()
    with torch.device("meta"):
        model = ssformer.build_l().eval()
        state = model.state_dict()
        own = [f"{key} {'x'.join(map(str, tensor.shape)) or '-'}" for key, tensor in state.items()]
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, 256, 256))
    assert own == contract.splitlines()
    assert {t.dtype for key, t in state.items() if key.endswith("tracked")} == {torch.int64}
    assert sum(p.numel() for p in model.parameters()) == 66_218_945
    assert counter.get_total_flops() / 2e9 == pytest.approx(17.765, abs=1e-3)
