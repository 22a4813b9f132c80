"""LDNet against its formulas written out once more, and one invariant for each of its traps."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from baselines import ldnet
from baselines.ldnet import LDNet
from baselines.ldnet_blocks import EfficientSelfAttention, KernelUpdater, LesionCrossAttention, Mlp

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def net(stirred: Callable[..., nn.Module]) -> LDNet:
    torch.manual_seed(0)
    return stirred(ldnet.build())


def up2(x: Tensor, corners: bool) -> Tensor:
    size = (2 * x.shape[2], 2 * x.shape[3])
    return F.interpolate(x, size=size, mode="bilinear", align_corners=corners)


def layer_norm(s: State, key: str, x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    var = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(var + 1e-5) * s[f"{key}.weight"] + s[f"{key}.bias"]


def linear(s: State, key: str, x: Tensor) -> Tensor:
    return x @ s[f"{key}.weight"].T + s[f"{key}.bias"]


def conv(s: State, key: str, x: Tensor) -> Tensor:
    return F.conv2d(x, s[f"{key}.weight"], s[f"{key}.bias"])


class Restated:
    """The formulas on a state dict, one image at a time where that reads more plainly."""

    def __init__(self, state: State, norm: Callable[..., Tensor]) -> None:
        self.s, self.norm = state, norm

    def decoder(self, key: str, x: Tensor) -> Tensor:
        for i in (1, 2):
            x = F.conv2d(x, self.s[f"{key}.conv{i}.conv.weight"], self.s[f"{key}.conv{i}.conv.bias"], padding=1)
            x = F.relu(self.norm(self.s, f"{key}.conv{i}.bn", x))
        return up2(x, True)

    def finish(self, key: str, x: Tensor, attended: Tensor) -> Tensor:
        B, C, H, W = x.shape
        t = x.reshape(B, C, H * W).permute(0, 2, 1) + attended
        y = linear(self.s, f"{key}.ff.fn.net.0", layer_norm(self.s, f"{key}.ff.norm", t))
        y = 0.5 * y * (1 + torch.erf(y / math.sqrt(2)))
        t = t + linear(self.s, f"{key}.ff.fn.net.3", y)
        return t.permute(0, 2, 1).reshape(B, C, H, W)

    def esa(self, key: str, x: Tensor) -> Tensor:
        q, k, v = F.conv2d(x, self.s[f"{key}.ESAlayer.to_qkv.weight"]).split(512, 1)
        heads = []
        for h in range(8):
            part = slice(64 * h, 64 * h + 64)
            keys = torch.cat([F.adaptive_avg_pool2d(k[:, part], n).flatten(2) for n in (1, 3, 5)], 2)
            values = torch.cat([F.adaptive_avg_pool2d(v[:, part], n).flatten(2) for n in (1, 3, 5)], 2)
            scores = torch.einsum("bcn,bcm->bnm", q[:, part].flatten(2), keys) / 8
            heads.append(torch.einsum("bnm,bcm->bnc", scores.softmax(2), values))
        return self.finish(key, x, linear(self.s, f"{key}.ESAlayer.to_out.0", torch.cat(heads, 2)))

    def lca(self, key: str, x: Tensor, logits: Tensor) -> Tensor:
        v = F.conv2d(x, self.s[f"{key}.LCAlayer.to_qkv.weight"][1024:])
        m = logits.sigmoid()
        token = (v * m).sum((2, 3)) / (m.sum((2, 3)) + 0.0005)
        return self.finish(key, x, linear(self.s, f"{key}.LCAlayer.to_out.0", token)[:, None])

    def update(self, key: str, u: Tensor, kernel: Tensor, logits: Tensor) -> Tensor:
        def normed(name: str, x: Tensor) -> Tensor:
            return layer_norm(self.s, f"{key}.{name}", x)

        a = (up2(logits, False).sigmoid() * u).sum((2, 3))
        p = linear(self.s, f"{key}.pred_transform_layer", a)
        h = linear(self.s, f"{key}.head_transform_layer", kernel)
        g = h[:, :64] * p[:, :64]
        gate_h = normed("head_norm_in", linear(self.s, f"{key}.head_gate", g)).sigmoid()
        gate_p = normed("pred_norm_in", linear(self.s, f"{key}.pred_gate", g)).sigmoid()
        n = gate_p * normed("pred_norm_out", p[:, 64:]) + gate_h * normed("head_norm_out", h[:, 64:])
        return F.relu(normed("fc_norm", linear(self.s, f"{key}.fc_layer", n)))

    def kernel(self, e5: Tensor) -> Tensor:
        x = e5.unflatten(1, (16, 32))
        mean, var = x.mean((2, 3, 4), keepdim=True), x.var((2, 3, 4), keepdim=True, unbiased=False)
        x = ((x - mean) / torch.sqrt(var + 1e-5)).flatten(1, 2)
        x = x * self.s["gobal_average_pool.0.weight"][:, None, None]
        x = F.relu(x + self.s["gobal_average_pool.0.bias"][:, None, None]).mean((2, 3))
        return linear(self.s, "generate_head", x)


def predict(u: Tensor, kernel: Tensor) -> Tensor:
    return (u * kernel[:, :, None, None]).sum(1, keepdim=True)


def test_equals_the_formulas(
    net: LDNet, image: Tensor, backbone: Callable, batch_norm: Callable, assert_close: Callable
) -> None:
    r = Restated(net.state_dict(), batch_norm)
    with torch.no_grad():
        stages = tuple(f"encoder{i}" for i in (2, 3, 4, 5))
        e1, *rest = backbone(r.s, image, ("encoder1_conv", "encoder1_bn"), stages)
        e = {1: e1} | {k: conv(r.s, f"reduce{k}", x) for k, x in zip((2, 3, 4, 5), rest, strict=True)}
        kernel = r.kernel(e[5])
        d = r.decoder("decoder5", e[5])
        maps = [predict(conv(r.s, "unify5", d), kernel)]
        for k in (4, 3, 2, 1):
            d = r.decoder(f"decoder{k}", torch.cat([r.lca(f"lca{k}", d, maps[0]), r.esa(f"esa{k}", e[k])], 1))
            u = conv(r.s, f"unify{k}", d)
            kernel = r.update(f"headUpdators.{4 - k}", u, kernel, maps[0])
            maps.insert(0, predict(u, kernel))
        outputs = net(image)
    assert [tuple(m.shape[2:]) for m in outputs] == [(96, 64), (48, 32), (24, 16), (12, 8), (6, 4)]
    for own, other in zip(outputs, maps, strict=True):
        assert_close(own, other)


def test_cross_attention_adds_one_vector_per_image_whatever_queries_and_keys_are() -> None:
    torch.manual_seed(0)
    layer = LesionCrossAttention(16)
    x, logits = torch.randn(2, 16, 6, 5), torch.randn(2, 1, 6, 5)
    before = layer.LCAlayer(x, logits)
    assert torch.allclose(before, before[:, :1].expand_as(before), atol=1e-6)
    assert not torch.allclose(before[0, 0], before[1, 0], atol=1e-3)
    with torch.no_grad():
        layer.LCAlayer.to_qkv.weight[:1024] = torch.randn(1024, 16, 1, 1)
    assert torch.allclose(layer.LCAlayer(x, logits), before, atol=1e-6)
    layer(x, logits).sum().backward()
    grad = layer.LCAlayer.to_qkv.weight.grad
    assert grad[:1024].abs().max() < 1e-6 < grad[1024:].abs().max()


def test_cross_attention_sees_nothing_without_a_lesion() -> None:
    layer = LesionCrossAttention(16)
    out = layer.LCAlayer(torch.randn(1, 16, 6, 5), torch.full((1, 1, 6, 5), -60.0))
    # S(v m) / (S(m) + 0.0005): the constant keeps an empty prediction from dividing 0 by 0
    assert torch.allclose(out, layer.LCAlayer.to_out[0].bias.expand_as(out), atol=1e-5)


def test_cross_attention_averages_over_the_lesion() -> None:
    layer = LesionCrossAttention(16)
    x = torch.randn(1, 16, 6, 5)
    logits = torch.full((1, 1, 6, 5), -60.0)
    logits[0, 0, 2, 3] = 60.0
    v = F.conv2d(x, layer.LCAlayer.to_qkv.weight[1024:])[0, :, 2, 3] / 1.0005
    assert torch.allclose(layer.LCAlayer(x, logits)[0, 0], layer.LCAlayer.to_out[0](v), atol=1e-5)


def test_attention_is_on_the_raw_features_and_residual() -> None:
    layer = EfficientSelfAttention(16)
    with torch.no_grad():
        layer.ESAlayer.to_out[0].bias.zero_()
        layer.ff.fn.net[3].weight.zero_()
        layer.ff.fn.net[3].bias.zero_()
    x = torch.randn(1, 16, 8, 8)
    one = torch.ones(1, 16, 8, 8)
    added = layer(one) - one  # constant features: every pooled value is the same, so the softmax plays no part
    assert added.std() > 0.01
    assert torch.allclose(layer(7 * one) - 7 * one, 7 * added, atol=1e-5), "a norm would undo the factor"
    with torch.no_grad():
        layer.ESAlayer.to_qkv.weight.zero_()
    assert torch.allclose(layer(x), x)


def test_self_attention_pools_keys_and_values_to_35_tokens() -> None:
    layer = EfficientSelfAttention(16).ESAlayer
    seen: list[torch.Size] = []
    softmax = Tensor.softmax

    def watch(self: Tensor, dim: int) -> Tensor:
        seen.append(self.shape)
        return softmax(self, dim)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "softmax", watch)
        layer(torch.randn(1, 16, 8, 8))
    assert seen == [(1, 8, 64, 35)]


def test_gelu_is_exact() -> None:
    mlp = Mlp(4)
    x = torch.linspace(-3, 3, 512)
    assert torch.allclose(mlp.net[1](x), 0.5 * x * (1 + torch.erf(x / 2**0.5)), atol=1e-6)


def test_kernel_updater_sums_over_the_lesion() -> None:
    updater = KernelUpdater(64)
    seen: list[Tensor] = []
    updater.pred_transform_layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    kernel, u = torch.randn(1, 64), torch.randn(1, 64, 4, 4)
    logits = torch.full((1, 1, 2, 2), 60.0)
    updater(u, kernel, logits)
    updater(u.repeat(1, 1, 2, 1), kernel, logits.repeat(1, 1, 2, 1))
    assert torch.allclose(seen[0], u.sum((2, 3)), atol=1e-4)
    assert torch.allclose(seen[1], 2 * seen[0], atol=1e-4), "a mean would not grow with the area"


def test_kernel_updater_resizes_logits_before_the_sigmoid_without_aligned_corners() -> None:
    updater = KernelUpdater(64)
    seen: list[Tensor] = []
    updater.pred_transform_layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    logits = torch.tensor([[[[-8.0, 6.0], [1.0, 3.0]]]])
    updater(torch.ones(1, 64, 4, 4), torch.randn(1, 64), logits)
    assert seen[0][0, 0].item() == pytest.approx(up2(logits, False).sigmoid().sum().item(), rel=1e-5)


def test_updated_kernels_are_not_negative() -> None:
    kernel = KernelUpdater(64)(torch.randn(3, 64, 4, 4), torch.randn(3, 64), torch.randn(3, 1, 2, 2))
    assert kernel.shape == (3, 64)
    assert (kernel >= 0).all()
    assert (kernel > 0).any()


def test_first_kernel_leaves_the_deepest_features_as_they_are(net: LDNet) -> None:
    e5 = torch.randn(1, 512, 2, 2, dtype=torch.float64)
    kept = e5.clone()
    net.gobal_average_pool(e5)
    assert torch.equal(e5, kept)


def test_lean_gives_the_same_maps_and_gradients_for_less_work(
    net: LDNet, image: Tensor, assert_close: Callable
) -> None:
    lean = ldnet.build(lean=True).double().eval()
    lean.load_state_dict(net.state_dict())
    plain_maps, lean_maps = net(image), lean(image)
    for own, other in zip(lean_maps, plain_maps, strict=True):
        assert_close(own, other)
    grads = []
    for model, maps in ((net, plain_maps), (lean, lean_maps)):
        model.zero_grad()
        maps[0].mean().backward()
        grads.append(model.lca1.LCAlayer.to_qkv.weight.grad[1024:].clone())
        model.zero_grad()
    assert_close(grads[1], grads[0])
    work = []
    for model in (net, lean):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(image)
        work.append(counter.get_total_flops())
    assert work[1] < 0.8 * work[0]


@pytest.mark.parametrize("legacy", [True, False])
def test_native_loss_halves_the_mask_step_by_step(net: LDNet, legacy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "legacy_bce", legacy)
    g = torch.Generator().manual_seed(5)
    mask = torch.rand(2, 1, 64, 32, generator=g)
    outputs = tuple(torch.randn(2, 1, 64 >> k, 32 >> k, generator=g) for k in range(5))
    expected, target = 0.0, mask
    for k, logits in enumerate(outputs):
        if k:
            size = (64 >> k, 32 >> k)
            target = F.interpolate(target, size=size, mode="bilinear", align_corners=True)
        p = logits.sigmoid()
        expected += -(target * p.log() + (1 - target) * (1 - p).log()).mean().item()
        inter, total = (p * target).sum((1, 2, 3)), p.sum((1, 2, 3)) + target.sum((1, 2, 3))
        expected += (1 - (2 * inter + 1) / (total + 1)).mean().item()
    assert net.loss(outputs, mask).item() == pytest.approx(expected, rel=1e-5)


def test_probability_bce_saturates_as_the_original_does() -> None:
    logits = torch.tensor([[[[30.0, 2.0]]]], requires_grad=True)
    loss = ldnet.probability_bce(logits, torch.zeros(1, 1, 1, 2))
    assert loss.item() == pytest.approx((100 + 2.126928) / 2, abs=1e-4)
    loss.backward()
    assert logits.grad[0, 0, 0, 0] == 0
    assert logits.grad[0, 0, 0, 1].item() == pytest.approx(0.880797 / 2, abs=1e-5)
