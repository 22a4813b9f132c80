"""The shared backbone, restated as plain functions on a state dict, and weights to compare networks under."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = dict[str, Tensor]
NUM_BLOCKS = (3, 4, 6, 3)


def norm(s: State, key: str, x: Tensor) -> Tensor:
    mean, var = s[f"{key}.running_mean"], s[f"{key}.running_var"]
    scale = s[f"{key}.weight"] / torch.sqrt(var + 1e-5)
    return x * scale[:, None, None] + (s[f"{key}.bias"] - mean * scale)[:, None, None]


def block(s: State, key: str, x: Tensor, stride: int, first: bool) -> Tensor:
    out = F.relu(norm(s, f"{key}.bn1", F.conv2d(x, s[f"{key}.conv1.weight"])))
    w = out.shape[1] // 4
    chunks = [out[:, i * w : (i + 1) * w] for i in range(4)]
    parts: list[Tensor] = []
    for i in range(3):
        source = chunks[i] if first or i == 0 else parts[-1] + chunks[i]
        y = F.conv2d(source, s[f"{key}.convs.{i}.weight"], stride=stride, padding=1)
        parts.append(F.relu(norm(s, f"{key}.bns.{i}", y)))
    if first:  # zero padding counted: a 3x3 convolution with 1/9 everywhere
        ninth = torch.full((w, 1, 3, 3), 1 / 9, dtype=x.dtype)
        parts.append(F.conv2d(chunks[3], ninth, stride=stride, padding=1, groups=w))
    else:
        parts.append(chunks[3])
    out = norm(s, f"{key}.bn3", F.conv2d(torch.cat(parts, 1), s[f"{key}.conv3.weight"]))
    if first:
        x = F.avg_pool2d(x, stride) if stride > 1 else x
        x = norm(s, f"{key}.downsample.2", F.conv2d(x, s[f"{key}.downsample.1.weight"]))
    return F.relu(out + x)


def restated_features(
    s: State,
    image: Tensor,
    stem: tuple[str, str],
    stages: tuple[str, ...],
    num_blocks: tuple[int, ...] = NUM_BLOCKS,
) -> list[Tensor]:
    """Return the stem's map and the four stages' maps of Res2Net-50 v1b, or of a deeper one."""
    conv, bn = stem
    x = F.relu(norm(s, f"{conv}.1", F.conv2d(image, s[f"{conv}.0.weight"], stride=2, padding=1)))
    x = F.relu(norm(s, f"{conv}.4", F.conv2d(x, s[f"{conv}.3.weight"], padding=1)))
    x = F.relu(norm(s, bn, F.conv2d(x, s[f"{conv}.6.weight"], padding=1)))
    features = [x]
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for stage, (key, num) in enumerate(zip(stages, num_blocks, strict=True)):
        for i in range(num):
            x = block(s, f"{key}.{i}", x, 2 if i == 0 and stage > 0 else 1, i == 0)
        features.append(x)
    return features


def stir(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give norms statistics and weights of their own, so that nothing cancels; in float64, evaluating."""
    g = torch.Generator().manual_seed(seed)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=g)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
                module.weight.copy_(uniform(module.weight, 0.5, 1.5))
                module.bias.copy_(uniform(module.bias, -0.3, 0.3))
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.copy_(uniform(module.running_mean, -0.3, 0.3))
                module.running_var.copy_(uniform(module.running_var, 0.5, 2.0))
    return model.double().eval()


def layer_norm(s: State, key: str, x: Tensor, eps: float) -> Tensor:
    """Norm over the channels of a map (B, C, H, W)."""
    centred = x - x.mean(1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(1, keepdim=True) + eps)
    return scaled * s[f"{key}.weight"][:, None, None] + s[f"{key}.bias"][:, None, None]


def pointwise(s: State, key: str, x: Tensor) -> Tensor:
    """A linear layer on every pixel of a map."""
    return torch.einsum("oi,bihw->bohw", s[f"{key}.weight"], x) + s[f"{key}.bias"][:, None, None]


def pyramid_attention(s: State, key: str, x: Tensor, reduction: int) -> Tensor:
    source = x
    if reduction > 1:
        source = F.conv2d(x, s[f"{key}.sr.weight"], s[f"{key}.sr.bias"], stride=reduction)
        source = layer_norm(s, f"{key}.norm", source, 1e-5)
    q, kv = pointwise(s, f"{key}.q", x).flatten(2), pointwise(s, f"{key}.kv", source).flatten(2)
    width = x.shape[1]
    heads = []
    for start in range(0, width, 64):
        own = slice(start, start + 64)
        k, v = kv[:, :width][:, own], kv[:, width:][:, own]
        exponent = torch.einsum("bdn,bdm->bnm", q[:, own], k) / 8
        weight = exponent.exp() / exponent.exp().sum(2, keepdim=True)
        heads.append(torch.einsum("bnm,bdm->bdn", weight, v))
    return pointwise(s, f"{key}.proj", torch.cat(heads, 1).view_as(x))


def pyramid_mlp(s: State, key: str, x: Tensor) -> Tensor:
    x = pointwise(s, f"{key}.fc1", x)
    inner = f"{key}.dwconv.dwconv"
    x = F.conv2d(x, s[f"{inner}.weight"], s[f"{inner}.bias"], padding=1, groups=x.shape[1])
    return pointwise(s, f"{key}.fc2", x * (1 + torch.erf(x / 2**0.5)) / 2)


def restated_pyramid(s: State, image: Tensor, names: tuple[tuple[str, str, str], ...]) -> list[Tensor]:
    """Return the four maps of PVTv2 or MiT, from the names of each stage's embedding, blocks and norm."""
    x, features = image, []
    for stage, (embedding, blocks, last) in enumerate(names):
        kernel = 7 if stage == 0 else 3
        weight, bias = s[f"{embedding}.proj.weight"], s[f"{embedding}.proj.bias"]
        x = F.conv2d(x, weight, bias, stride=4 if stage == 0 else 2, padding=kernel // 2)
        x = layer_norm(s, f"{embedding}.norm", x, 1e-5)
        number = 0
        while f"{blocks}.{number}.norm1.weight" in s:
            key = f"{blocks}.{number}"
            x = x + pyramid_attention(s, f"{key}.attn", layer_norm(s, f"{key}.norm1", x, 1e-6), 8 >> stage)
            x = x + pyramid_mlp(s, f"{key}.mlp", layer_norm(s, f"{key}.norm2", x, 1e-6))
            number += 1
        x = layer_norm(s, last, x, 1e-6)
        features.append(x)
    return features


def shake(model: nn.Module, seed: int = 0) -> nn.Module:
    """As ``stir``, and with biases that start at zero and small linear weights made large enough to be seen."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                if isinstance(module, nn.Linear) and module.weight.std() < 0.03:
                    module.weight.mul_(4)
                if module.bias is not None and not module.bias.any():
                    module.bias.copy_(torch.rand(module.bias.shape, generator=g) * 0.4 - 0.2)
    return stir(model, seed)


@pytest.fixture(scope="session")
def pyramid_features() -> Callable[..., list[Tensor]]:
    return restated_pyramid


@pytest.fixture(scope="session")
def shaken() -> Callable[..., nn.Module]:
    return shake


def settle(model: nn.Module, image: Tensor, *, but: str = "no module") -> nn.Module:
    """Take batch norm statistics from a batch, so that deep maps have a usual size and no part drowns in another.

    ``but``: start of the names of modules that keep theirs.
    """
    model.train()
    norms = []
    for name, module in model.named_modules():
        if name.startswith(but):
            module.eval()
        elif isinstance(module, nn.BatchNorm2d):
            norms.append(module)
            module.momentum = 1.0
    with torch.no_grad():
        model(image)
    for module in norms:
        module.momentum = 0.1
    return model.eval()


@pytest.fixture(scope="session")
def settled() -> Callable[..., nn.Module]:
    return settle


@pytest.fixture(scope="session")
def backbone() -> Callable[..., list[Tensor]]:
    return restated_features


@pytest.fixture(scope="session")
def batch_norm() -> Callable[..., Tensor]:
    return norm


@pytest.fixture(scope="session")
def stirred() -> Callable[..., nn.Module]:
    return stir


@pytest.fixture(scope="session")
def image() -> Tensor:
    return torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(scope="session")
def assert_close() -> Callable[[Tensor, Tensor], None]:
    def check(own: Tensor, other: Tensor) -> None:
        assert own.shape == other.shape
        assert other.std() > 1e-6
        # in float64 the two ways of writing a formula agree to rounding; nothing else is let through
        assert own.dtype == other.dtype == torch.float64
        assert (own - other).abs().max() <= 1e-7 * other.std()

    return check
