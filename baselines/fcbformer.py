"""FCBFormer: a transformer branch beside a fully convolutional one at full resolution, for polyp segmentation.

Paper: Sanderson and Matuszewski, "FCN-Transformer Feature Fusion for Polyp Segmentation", MIUA 2022.
Original: github.com/ESandML/FCBFormer, Apache 2.0. No line of it is used here.
Differs: the output comes as a tuple of one map; the transformer branch is brought to the input's own size, where the
original has a fixed side that must equal it; parts can be dropped. State-dict keys are the original's, so its
checkpoints load strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.blocks import Criterion, check_drop, check_image, check_mask, mean_over_maps
from baselines.losses import bce, dice, probability_bce
from baselines.pyramid import WIDTHS, pyramid, run_stages

SWITCHES: dict[str, str] = {
    "convolutional_branch": "the full-resolution U-Net: without it the head sees the transformer branch alone "
    "(graph, output, parameters and cost change)",
    "feature_aggregation": "the residual blocks that join the levels, deepest first: without them the four "
    "levels are averaged (graph, output, parameters and cost change)",
    "local_emphasis": "the residual blocks on each level: without them each level is a 1x1 convolution "
    "(graph, output, parameters and cost change)",
}

NUM_GROUPS = 32
BRANCH_WIDTH = 64
BRANCH_SIDE = 88  # px; the published branch has it whatever the input's side
LEVEL_WIDTHS = (32, 32, 64, 64, 128, 128)  # of the convolutional branch, at strides 1 to 32
BLOCKS_PER_LEVEL = 2


class ResidualBlock(nn.Module):
    """Twice group norm, SiLU and 3x3 convolution, beside the raw input or a 1x1 convolution of it."""

    def __init__(self, in_ch: int, out_ch: int) -> None:
        super().__init__()
        self.in_layers = _norm_act_conv(in_ch, out_ch)
        self.out_layers = _norm_act_conv(out_ch, out_ch)
        self.skip = nn.Identity() if in_ch == out_ch else nn.Conv2d(in_ch, out_ch, 1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.out_layers(self.in_layers(x)) + self.skip(x))


def _norm_act_conv(in_ch: int, out_ch: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(NUM_GROUPS, in_ch), nn.SiLU(), nn.Conv2d(in_ch, out_ch, 3, padding=1))


def _pair(in_ch: int, out_ch: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(in_ch, out_ch), ResidualBlock(out_ch, out_ch))


def _nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="nearest")


class TransformerBranch(nn.Module):
    """PVTv2-b3, each level emphasised and brought to 88 x 88, then aggregated: (B, 3, H, W) -> (B, 64, 88, 88)."""

    def __init__(self, *, pretrained: bool, weights: str | None, dropped: frozenset[str]) -> None:
        super().__init__()
        backbone, self.weights_info = pyramid("pvt_v2_b3", drop_path_rate=0.0, pretrained=pretrained, weights=weights)
        self.backbone = nn.ModuleList(part for stage in backbone.stages() for part in stage)
        plain = "local_emphasis" in dropped
        self.LE = nn.ModuleList(nn.Conv2d(w, BRANCH_WIDTH, 1) if plain else _pair(w, BRANCH_WIDTH) for w in WIDTHS)
        self.SFA: nn.ModuleList | None = None
        if "feature_aggregation" not in dropped:
            self.SFA = nn.ModuleList(_pair(2 * BRANCH_WIDTH, BRANCH_WIDTH) for _ in range(3))

    def forward(self, image: Tensor) -> Tensor:
        parts: list[Any] = list(self.backbone)
        features = run_stages(zip(parts[0::3], parts[1::3], parts[2::3], strict=True), image)
        side = (BRANCH_SIDE, BRANCH_SIDE)
        levels = [_nearest(emphasis(x), side) for emphasis, x in zip(self.LE, features, strict=True)]
        if self.SFA is None:
            return torch.stack(levels).mean(0)
        fused = levels.pop()
        for aggregation in reversed(self.SFA):
            fused = aggregation(torch.cat((levels.pop(), fused), 1))  # the shallower map first
        return fused


class ConvolutionalBranch(nn.Module):
    """A U-Net of residual blocks: (B, 3, H, W) -> (B, 32, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        width = LEVEL_WIDTHS[0]
        self.enc_blocks = nn.ModuleList([nn.Conv2d(3, width, 3, padding=1)])
        pushed = [width]
        for level, out_ch in enumerate(LEVEL_WIDTHS):
            if level:
                self.enc_blocks.append(nn.Sequential(nn.Conv2d(width, width, 3, stride=2, padding=1)))
                pushed.append(width)
            for _ in range(BLOCKS_PER_LEVEL):
                self.enc_blocks.append(nn.Sequential(ResidualBlock(width, out_ch)))
                pushed.append(width := out_ch)
        self.middle_block = _pair(width, width)
        self.dec_blocks = nn.ModuleList()
        for level, out_ch in reversed(list(enumerate(LEVEL_WIDTHS))):
            for number in range(BLOCKS_PER_LEVEL + 1):
                entry = nn.Sequential(ResidualBlock(width + pushed.pop(), out_ch))
                width = out_ch
                if level and number == BLOCKS_PER_LEVEL:
                    entry.append(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)))
                self.dec_blocks.append(entry)

    def forward(self, image: Tensor) -> Tensor:
        x, stack = image, []
        for block in self.enc_blocks:
            stack.append(x := block(x))
        x = self.middle_block(x)
        for block in self.dec_blocks:
            x = block(torch.cat((x, stack.pop()), 1))  # the current map first
        return x


class FCBFormer(nn.Module):
    """The network; see ``build``."""

    def __init__(
        self,
        *,
        pretrained: bool,
        weights: str | None,
        drop: Iterable[str],
        size: int | None,
        legacy_bce: bool,
    ) -> None:
        super().__init__()
        dropped = check_drop(drop, SWITCHES, "fcbformer")
        self.size, self.legacy_bce = size, legacy_bce
        self.TB = TransformerBranch(pretrained=pretrained, weights=weights, dropped=dropped)
        self.weights_info = self.TB.weights_info
        self.FCB = None if "convolutional_branch" in dropped else ConvolutionalBranch()
        width = BRANCH_WIDTH + (0 if self.FCB is None else LEVEL_WIDTHS[0])
        self.PH = nn.Sequential(*_pair(width, BRANCH_WIDTH), nn.Conv2d(BRANCH_WIDTH, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: RGB scaled to [-1, 1], (B, 3, H, W), sides multiples of 32.
        Returns:
            One map of logits, (B, 1, H, W).
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "fcbformer")
        side = image.shape[-2:]
        if self.size is not None and tuple(side) != (self.size, self.size):
            raise ValueError(f"image size {side[0]}x{side[1]}: fcbformer was built with size={self.size}; leave it out")
        x = _nearest(self.TB(image), side)
        if self.FCB is not None:
            x = torch.cat((x, self.FCB(image)), 1)  # the transformer's map first
        return (self.PH(x),)

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """BCE plus Dice, or ``criterion``.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W).
            criterion: ``(logits, mask) -> scalar``; None for the model's own loss, whose Dice has its 1 inside the
                doubled bracket, 1 - 2 (S(pG) + 1) / (S(p) + S(G) + 1), and so can be negative.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, "fcbformer")
        if criterion is not None:
            return mean_over_maps(outputs, mask, criterion)
        cross = probability_bce if self.legacy_bce else bce
        return cross(outputs[0], mask) + dice(outputs[0], mask, smooth_top=2.0, smooth_bottom=1.0)


def build(
    *,
    pretrained: bool = False,
    weights: str | None = None,
    drop: Iterable[str] = (),
    size: int | None = None,
    legacy_bce: bool = False,
) -> FCBFormer:
    """Build FCBFormer.

    Args:
        pretrained: Start the transformer from timm's ImageNet weights of PVTv2-b3.
        weights: Local ImageNet file for the transformer instead, the authors' or timm's; its classifier is left aside.
        drop: Parts to leave out, names of ``SWITCHES``.
        size: Take square images of this side only, px, as the original does; None for any multiple of 32.
        legacy_bce: Native loss on probabilities, as released (True), or on logits, its stable equal (False).
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    return FCBFormer(pretrained=pretrained, weights=weights, drop=drop, size=size, legacy_bce=legacy_bce)
