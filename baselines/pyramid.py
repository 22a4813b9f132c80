"""The pyramid transformers PVTv2-b2, PVTv2-b3, MiT-b2 and MiT-b4: one design that differs in depth and MLP ratio.

Papers: Wang et al., "PVT v2: Improved Baselines with Pyramid Vision Transformer", CVMJ 2022; Xie et al., "SegFormer",
NeurIPS 2021. Originals: github.com/whai362/PVT, Apache 2.0; github.com/NVlabs/SegFormer, NVIDIA's non-commercial
licence. No line of either is used here. State-dict keys and their order are the originals', which timm's equal
network does not have; ImageNet files are taken in either naming.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from timm.layers import DropPath, trunc_normal_
from torch import Tensor, nn

from baselines.hub import hub_download, hub_file
from baselines.weights import WeightsInfo, describe, file_sha256, load_state, read_state_dict

PyramidName = Literal["pvt_v2_b2", "pvt_v2_b3", "mit_b2", "mit_b4"]

WIDTHS = (64, 128, 320, 512)
HEAD_WIDTH = 64
REDUCTIONS = (8, 4, 2, 1)  # of keys and values, in each direction
DEPTHS: dict[PyramidName, tuple[int, ...]] = {
    "pvt_v2_b2": (3, 4, 6, 3),
    "pvt_v2_b3": (3, 4, 18, 3),
    "mit_b2": (3, 4, 6, 3),
    "mit_b4": (3, 8, 27, 3),
}
MLP_RATIOS: dict[PyramidName, tuple[int, ...]] = {
    "pvt_v2_b2": (8, 8, 4, 4),
    "pvt_v2_b3": (8, 8, 4, 4),
    "mit_b2": (4, 4, 4, 4),
    "mit_b4": (4, 4, 4, 4),
}
EPS_INNER = 1e-5  # of the norms after the patch embedding and after the reduction
EPS_OUTER = 1e-6  # of the norms around the blocks and after each stage
CLASSIFIER = ("head.",)

Size = tuple[int, int]


def to_map(tokens: Tensor, size: Size) -> Tensor:
    """Fold row-major tokens (B, H * W, C) to a map (B, C, H, W)."""
    return tokens.transpose(1, 2).unflatten(2, size)


def to_tokens(x: Tensor) -> Tensor:
    """Unfold a map (B, C, H, W) to row-major tokens (B, H * W, C)."""
    return x.flatten(2).transpose(1, 2)


class PatchEmbedding(nn.Module):
    """Strided convolution and layer norm: (B, C, H, W) -> tokens (B, h * w, width), and (h, w)."""

    def __init__(self, in_ch: int, width: int, *, first: bool) -> None:
        super().__init__()
        kernel, stride = (7, 4) if first else (3, 2)
        self.proj = nn.Conv2d(in_ch, width, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(width, eps=EPS_INNER)

    def forward(self, x: Tensor) -> tuple[Tensor, Size]:
        x = self.proj(x)
        return self.norm(to_tokens(x)), (x.shape[2], x.shape[3])


class Attention(nn.Module):
    """Multi-head attention of every token over the map reduced R times in each direction."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.num_heads = width // HEAD_WIDTH
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.sr: nn.Conv2d | None = None
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, stride=reduction)
            self.norm = nn.LayerNorm(width, eps=EPS_INNER)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        heads = (self.num_heads, HEAD_WIDTH)
        source = tokens if self.sr is None else self.norm(to_tokens(self.sr(to_map(tokens, size))))
        q = self.q(tokens).unflatten(2, heads).transpose(1, 2)  # (B, heads, N, 64)
        k, v = self.kv(source).unflatten(2, (2, *heads)).permute(2, 0, 3, 1, 4)  # each (B, heads, M, 64)
        # written out, as torch's counter of multiply-adds does not see the fused kernel of a CPU
        weights = ((q * HEAD_WIDTH**-0.5) @ k.transpose(2, 3)).softmax(3)
        return cast(Tensor, self.proj((weights @ v).transpose(1, 2).flatten(2)))


class DepthwiseConv(nn.Module):
    """3x3 convolution of each channel of the folded tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        return to_tokens(self.dwconv(to_map(tokens, size)))


class Mlp(nn.Module):
    """Linear, depth-wise convolution, exact GELU, linear."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.dwconv = DepthwiseConv(ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        return cast(Tensor, self.fc2(F.gelu(self.dwconv(self.fc1(tokens), size))))


class Block(nn.Module):
    """Attention and MLP, each behind a norm and beside a residual path."""

    def __init__(self, width: int, *, reduction: int, ratio: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS_OUTER)
        self.attn = Attention(width, reduction)
        self.norm2 = nn.LayerNorm(width, eps=EPS_OUTER)
        self.mlp = Mlp(width, ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), size))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens), size))


class Stage(NamedTuple):
    """The three parts of a stage; each network registers them under names of its own."""

    embedding: nn.Module
    blocks: nn.ModuleList
    norm: nn.Module


def pyramid_stages(name: PyramidName, *, drop_path_rate: float) -> list[Stage]:
    """Build the four stages with the published initialisation.

    Args:
        name: Which of the four networks.
        drop_path_rate: Stochastic depth in training: it grows linearly over all blocks, from 0 to this.
    """
    depths = DEPTHS[name]
    rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist()
    stages = []
    for number, ((in_ch, width), depth) in enumerate(zip(pairwise((3, *WIDTHS)), depths, strict=True)):
        kind = {"reduction": REDUCTIONS[number], "ratio": MLP_RATIOS[name][number]}
        blocks = nn.ModuleList(Block(width, **kind, drop_path=rates.pop(0)) for _ in range(depth))
        stage = Stage(PatchEmbedding(in_ch, width, first=number == 0), blocks, nn.LayerNorm(width, eps=EPS_OUTER))
        for part in stage:
            part.apply(_initialise)
        stages.append(stage)
    return stages


def run_stages(stages: Iterable[tuple[nn.Module, Iterable[nn.Module], nn.Module]], image: Tensor) -> list[Tensor]:
    """Run the stages one after the other.

    Args:
        stages: Patch embedding, blocks and norm of each.
        image: (B, 3, H, W), sides multiples of 32.
    Returns:
        Maps of 64, 128, 320 and 512 channels at H/4, H/8, H/16 and H/32, each after its stage's norm.
    """
    x, features = image, []
    for embedding, blocks, norm in stages:
        tokens, size = embedding(x)
        for block in blocks:
            tokens = block(tokens, size)
        x = to_map(norm(tokens), size)
        features.append(x)
    return features


class Pyramid(nn.Module):
    """The four stages, registered as PVT's and SegFormer's authors do: all patch embeddings first.

    ``(B, 3, H, W)`` -> four maps, see ``run_stages``.
    """

    def __init__(self, name: PyramidName, *, drop_path_rate: float) -> None:
        super().__init__()
        stages = pyramid_stages(name, drop_path_rate=drop_path_rate)
        for number, stage in enumerate(stages, start=1):
            self.add_module(f"patch_embed{number}", stage.embedding)
        for number, stage in enumerate(stages, start=1):
            self.add_module(f"block{number}", stage.blocks)
            self.add_module(f"norm{number}", stage.norm)

    def stages(self) -> list[Stage]:
        """Return the parts in the order in which they run."""
        numbers = (1, 2, 3, 4)
        parts = ([self.get_submodule(f"{part}{n}") for part in ("patch_embed", "block", "norm")] for n in numbers)
        return [Stage(embedding, cast(nn.ModuleList, blocks), norm) for embedding, blocks, norm in parts]

    def forward(self, image: Tensor) -> list[Tensor]:
        return run_stages(self.stages(), image)


def pyramid(
    name: PyramidName, *, drop_path_rate: float, pretrained: bool = False, weights: str | None = None
) -> tuple[Pyramid, WeightsInfo | None]:
    """Build one of the four backbones without its classifier.

    Args:
        name: Which.
        drop_path_rate: Stochastic depth of the last block in training.
        pretrained: Load the published ImageNet weights (from the hub's cache, or over the network).
        weights: Local file with ImageNet weights instead: the authors' ``.pth`` or timm's ``.safetensors``.
    Returns:
        The backbone, and what was loaded into it.
    Raises:
        ValueError: If the weights cannot be had, or do not fit.
    """
    path = weights or (imagenet_file(name) if pretrained else None)  # first: missing weights are to fail fast
    backbone = Pyramid(name, drop_path_rate=drop_path_rate)
    return backbone, None if path is None else load_imagenet(backbone, path)


def imagenet_file(name: PyramidName) -> Path:
    """Find the published ImageNet file: timm's copy of PVT's, smp's copy of SegFormer's.

    Raises:
        ValueError: Within about a second, if it is neither in the hub's cache nor to be had over the network.
    """
    if name.startswith("pvt"):
        return hub_file(name)
    from segmentation_models_pytorch.encoders import encoders

    settings = encoders[name]["pretrained_settings"]["imagenet"]
    return hub_download(settings["repo_id"], ["model.safetensors"], revision=settings["revision"])


def load_imagenet(backbone: Pyramid, path: str | Path) -> WeightsInfo:
    """Load ImageNet weights strictly, in the authors' naming or in timm's; a classifier in the file is left aside.

    Returns:
        Name and sha256 of the file.
    Raises:
        ValueError: If keys or shapes differ.
    """
    path = Path(path)
    state = official_names(read_state_dict(path))
    kept = {key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}
    load_state(backbone, kept, path.name)
    return WeightsInfo(name=describe(path), sha256=file_sha256(path))


def official_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of a file in timm's naming the authors' names; others keep theirs."""
    return {_official_name(key): tensor for key, tensor in state.items()}


def _official_name(key: str) -> str:
    key = re.sub(r"^patch_embed\.", "patch_embed1.", key)
    found = re.fullmatch(r"stages[._](\d)\.(downsample|blocks|norm)\.(.+)", key)
    if not found:
        return key
    part = {"downsample": "patch_embed", "blocks": "block", "norm": "norm"}[found[2]]
    rest = re.sub(r"\.mlp\.dwconv\.(?=weight|bias)", ".mlp.dwconv.dwconv.", found[3])
    return f"{part}{int(found[1]) + 1}.{rest}"


def _initialise(module: nn.Module) -> None:
    """Linear: truncated normal of deviation 0.02; convolution: normal by fan-out; biases 0; norms start at 1 and 0."""
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(cast(Tensor, module.bias))
    elif isinstance(module, nn.Conv2d):
        fan_out = math.prod(cast(Sequence[int], module.kernel_size)) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(cast(Tensor, module.bias))
