"""LDNet's parts: decoder block, the two attention blocks, and the kernel updater. Paper and original: see ldnet.py."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.blocks import double
from baselines.losses import wide

NUM_HEADS = 8
HEAD_DIM = 64
INNER = NUM_HEADS * HEAD_DIM
MLP_DIM = 512
POOL_SIZES = (1, 3, 5)
AREA_EPS = 5e-4


class ConvNormAct(nn.Module):
    """3x3 convolution with bias, batch norm, ReLU."""

    def __init__(self, in_ch: int, out_ch: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_ch, out_ch, 3, padding=1)
        self.bn = nn.BatchNorm2d(out_ch)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Decoder(nn.Module):
    """Two convolutions through I // 4 channels, then a doubling: ``(B, I, H, W) -> (B, O, 2H, 2W)``."""

    def __init__(self, in_ch: int, out_ch: int) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(in_ch, in_ch // 4)
        self.conv2 = ConvNormAct(in_ch // 4, out_ch)

    def forward(self, x: Tensor) -> Tensor:
        return double(self.conv2(self.conv1(x)), align_corners=True)


class Mlp(nn.Module):
    """Linear, exact GELU, Linear; the gaps in the numbering are the original's dropouts of rate 0."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, MLP_DIM), nn.GELU(), nn.Identity(), nn.Linear(MLP_DIM, dim), nn.Identity()
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.net(tokens))


class NormedMlp(nn.Module):
    """Layer norm, then the MLP, on tokens (B, N, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = Mlp(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.fn(self.norm(tokens)))


class Projections(nn.Module):
    """The convolution that makes queries, keys and values, and the layer that mixes the heads' results."""

    def __init__(self, dim: int, *, lean: bool) -> None:
        super().__init__()
        self.lean = lean
        self.to_qkv = nn.Conv2d(dim, 3 * INNER, 1, bias=False)
        self.to_out = nn.Sequential(nn.Linear(INNER, dim), nn.Identity())

    def rows(self, first: int, last: int) -> Tensor:
        """Return the weights of a part of the projections as a matrix, (thirds * 512, dim)."""
        return self.to_qkv.weight[first * INNER : last * INNER, :, 0, 0]


class PooledAttention(Projections):
    """Every pixel attends to 35 pooled keys: 1x1, 3x3 and 5x5 adaptive averages of the map."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, H*W, dim) tokens from (B, dim, H, W)."""
        if self.lean:  # a 1x1 convolution and an average can change places
            q = F.conv2d(x, self.to_qkv.weight[:INNER])
            k, v = F.linear(_pool(x).transpose(1, 2), self.rows(1, 3)).transpose(1, 2).chunk(2, 1)
        else:
            q, k, v = self.to_qkv(x).chunk(3, 1)
            k, v = _pool(k), _pool(v)
        q = _heads(q.flatten(2)).transpose(2, 3)  # (B, 8, N, 64)
        k, v = _heads(k), _heads(v).transpose(2, 3)  # (B, 8, 64, 35), (B, 8, 35, 64)
        weights = (q @ (k * HEAD_DIM**-0.5)).softmax(-1)
        out = (weights @ v).transpose(1, 2).flatten(2)  # (B, N, 512)
        return cast(Tensor, self.to_out(out))


class LesionAttention(Projections):
    """Every pixel attends to one key, the average over the predicted lesion.

    The softmax over a single key is 1, so all pixels receive the same vector, and queries and keys cannot change the
    result. The published network computes them all the same; so does this one unless ``lean``.
    """

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        """Return (B, H*W or 1, dim) tokens from (B, dim, H, W) and (B, 1, H, W) logits."""
        mask = wide(logits).sigmoid()
        if self.lean:
            v = F.linear(_lesion_mean(x, mask), self.rows(2, 3))  # (B, 512)
            return cast(Tensor, self.to_out(v.to(x.dtype)))[:, None]
        q, k, v = self.to_qkv(x).chunk(3, 1)
        q = _heads(q.flatten(2)).transpose(2, 3)  # (B, 8, N, 64)
        k = _heads(_lesion_mean(k, mask)[..., None]).to(q.dtype)  # (B, 8, 64, 1)
        v = _heads(_lesion_mean(v, mask)[..., None]).to(q.dtype).transpose(2, 3)  # (B, 8, 1, 64)
        weights = (q @ (k * HEAD_DIM**-0.5)).softmax(-1)
        return cast(Tensor, self.to_out((weights @ v).transpose(1, 2).flatten(2)))


class EfficientSelfAttention(nn.Module):
    """Attention without a norm before it, then the normed MLP, both residual. ``(B, dim, H, W)`` in and out."""

    def __init__(self, dim: int, *, lean: bool = False) -> None:
        super().__init__()
        self.ESAlayer = PooledAttention(dim, lean=lean)
        self.ff = NormedMlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        tokens = _tokens(x) + self.ESAlayer(x)
        return _as_map(tokens + self.ff(tokens), x)


class LesionCrossAttention(nn.Module):
    """As above, with the attention guided by the current prediction. ``(B, dim, H, W)`` in and out."""

    def __init__(self, dim: int, *, lean: bool = False) -> None:
        super().__init__()
        self.LCAlayer = LesionAttention(dim, lean=lean)
        self.ff = NormedMlp(dim)

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        tokens = _tokens(x) + self.LCAlayer(x, logits)
        return _as_map(tokens + self.ff(tokens), x)


class KernelUpdater(nn.Module):
    """Make the next level's kernel from the last one and the features under the predicted lesion."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pred_transform_layer = nn.Linear(dim, 2 * dim)
        self.head_transform_layer = nn.Linear(dim, 2 * dim)
        self.pred_gate = nn.Linear(dim, dim)
        self.head_gate = nn.Linear(dim, dim)
        self.pred_norm_in = nn.LayerNorm(dim)
        self.head_norm_in = nn.LayerNorm(dim)
        self.pred_norm_out = nn.LayerNorm(dim)
        self.head_norm_out = nn.LayerNorm(dim)
        self.fc_layer = nn.Linear(dim, dim)
        self.fc_norm = nn.LayerNorm(dim)

    def forward(self, u: Tensor, kernel: Tensor, logits: Tensor) -> Tensor:
        """Update.

        Args:
            u: Unified features, (B, 64, H, W).
            kernel: The last kernel, (B, 64).
            logits: The last prediction, (B, 1, H/2, W/2).
        Returns:
            The new kernel, (B, 64), values >= 0.
        """
        mask = double(wide(logits), align_corners=False).sigmoid()
        pooled = lesion_sum(u, mask)  # a sum over pixels: it grows with the lesion's area
        p_in, p_out = self.pred_transform_layer(pooled).chunk(2, -1)
        h_in, h_out = self.head_transform_layer(kernel).chunk(2, -1)
        both = h_in * p_in
        gate_h = self.head_norm_in(self.head_gate(both)).sigmoid()
        gate_p = self.pred_norm_in(self.pred_gate(both)).sigmoid()
        mixed = gate_p * self.pred_norm_out(p_out) + gate_h * self.head_norm_out(h_out)
        return F.relu(self.fc_norm(self.fc_layer(mixed)))


def apply_kernel(u: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each image of (B, 64, H, W) with its own 1x1 kernel (B, 64); return logits (B, 1, H, W)."""
    B, _, H, W = u.shape
    return torch.bmm(kernel[:, None].to(u.dtype), u.flatten(2)).view(B, 1, H, W)


def lesion_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Sum (B, C, H, W) over pixels under a soft mask (B, 1, H, W); return (B, C).

    Held in float32 or better under autocast: sums over a large map pass float16's range.
    """
    with torch.autocast(x.device.type, enabled=False):
        return torch.bmm(wide(x).flatten(2), mask.flatten(2).transpose(1, 2))[..., 0]


def _lesion_mean(x: Tensor, mask: Tensor) -> Tensor:
    return lesion_sum(x, mask) / (mask.sum((2, 3)) + AREA_EPS)


def _pool(x: Tensor) -> Tensor:
    """Return the 35 pooled tokens of (B, C, H, W), (B, C, 35)."""
    return torch.cat([F.adaptive_avg_pool2d(x, size).flatten(2) for size in POOL_SIZES], 2)


def _heads(x: Tensor) -> Tensor:
    """Split (B, 512, N) into heads of consecutive channels, (B, 8, 64, N)."""
    return x.unflatten(1, (NUM_HEADS, HEAD_DIM))


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)  # (B, H*W, C), row by row


def _as_map(tokens: Tensor, like: Tensor) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, (like.shape[2], like.shape[3]))
