"""LDNet: lesion-aware dynamic kernels for polyp segmentation.

Paper: Zhang et al., "Lesion-aware Dynamic Kernel for Polyp Segmentation", MICCAI 2022.
Original: github.com/ReaFly/LDNet, no licence file. No line of it is used here.
Differs: ``forward`` returns logits where the original returns probabilities, and parts can be dropped. State-dict
keys are the original's, misspellings and the second names of shared modules included, so its checkpoints load strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.blocks import (
    Criterion,
    check_drop,
    check_image,
    check_mask,
    mean_over_maps,
    res2net50,
)
from baselines.ldnet_blocks import Decoder, EfficientSelfAttention, KernelUpdater, LesionCrossAttention, apply_kernel
from baselines.losses import bce, dice, probability_bce

SWITCHES: dict[str, str] = {
    "esa": "efficient self-attention on the encoder's features: without it they enter the decoder as they are "
    "(graph, output, parameters and cost change)",
    "lca": "lesion-aware cross-attention on the decoder's features: without it they are passed on as they are "
    "(graph, output, parameters and cost change)",
    "kernel_update": "updating the kernel at each level: without it the kernel made from the deepest features "
    "serves all levels (graph, output and parameters change; cost hardly does)",
    "dynamic_kernel": "kernels made from the image at all: without them each level has a learned 1x1 kernel "
    "(graph, output and parameters change; cost hardly does); implies kernel_update",
}

WIDTH = 64
# channels of e1..e5 after reduction, and of d1..d5
ENCODER_CH = (64, 64, 128, 256, 512)
DECODER_CH = (64, 64, 128, 256, 512)


class LDNet(nn.Module):
    """The network; see ``build``."""

    def __init__(
        self,
        *,
        pretrained: bool,
        weights: str | None,
        drop: Iterable[str],
        lean: bool,
        legacy_bce: bool,
    ) -> None:
        super().__init__()
        dropped = check_drop(drop, SWITCHES, "ldnet")
        self.legacy_bce = legacy_bce
        self.has_dynamic = "dynamic_kernel" not in dropped
        self.has_update = self.has_dynamic and "kernel_update" not in dropped
        self._add_encoder(pretrained, weights)
        self._add_decoder()
        self._add_kernels()
        for k, ch in enumerate(DECODER_CH, start=1):
            self.add_module(f"unify{k}", nn.Conv2d(ch, WIDTH, 1))
        for k in (1, 2, 3, 4):
            keep = "esa" not in dropped
            ch = ENCODER_CH[k - 1]
            self.add_module(f"esa{k}", EfficientSelfAttention(ch, lean=lean) if keep else nn.Identity())
        for k in (1, 2, 3, 4):
            keep = "lca" not in dropped
            ch = DECODER_CH[k]
            self.add_module(f"lca{k}", LesionCrossAttention(ch, lean=lean) if keep else FirstOnly())
        # second names of the same modules, coarse level first: the loop below reads these
        self.decoderList = self._aliases("decoder")
        self.unifyList = self._aliases("unify")
        self.esaList = self._aliases("esa")
        self.lcaList = self._aliases("lca")

    def _add_encoder(self, pretrained: bool, weights: str | None) -> None:
        trunk, self.weights_info = res2net50(num_classes=0, pretrained=pretrained, weights=weights)
        self.encoder1_conv = cast(nn.Module, trunk.conv1)
        self.encoder1_bn = cast(nn.Module, trunk.bn1)
        self.encoder1_relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.encoder2 = cast(nn.Module, trunk.layer1)
        self.encoder3 = cast(nn.Module, trunk.layer2)
        self.encoder4 = cast(nn.Module, trunk.layer3)
        self.encoder5 = cast(nn.Module, trunk.layer4)
        self.reduce2 = nn.Conv2d(256, 64, 1)
        self.reduce3 = nn.Conv2d(512, 128, 1)
        self.reduce4 = nn.Conv2d(1024, 256, 1)
        self.reduce5 = nn.Conv2d(2048, 512, 1)

    def _add_decoder(self) -> None:
        self.decoder5 = Decoder(512, 512)
        self.decoder4 = Decoder(512 + 256, 256)
        self.decoder3 = Decoder(256 + 128, 128)
        self.decoder2 = Decoder(128 + 64, 64)
        self.decoder1 = Decoder(64 + 64, 64)

    def _add_kernels(self) -> None:
        if not self.has_dynamic:
            self.static_kernels = nn.ModuleList(nn.Conv2d(WIDTH, 1, 1, bias=False) for _ in range(5))
            return
        self.gobal_average_pool = nn.Sequential(nn.GroupNorm(16, 512), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.generate_head = nn.Linear(512, WIDTH)
        if self.has_update:
            self.headUpdators = nn.ModuleList(KernelUpdater(WIDTH) for _ in range(4))

    def _aliases(self, part: str) -> nn.ModuleList:
        return nn.ModuleList(self.get_submodule(f"{part}{k}") for k in (4, 3, 2, 1))

    def _encode(self, image: Tensor) -> tuple[Tensor, ...]:
        e1 = self.encoder1_relu(self.encoder1_bn(self.encoder1_conv(image)))  # (B, 64, H/2, W/2)
        x2 = self.encoder2(self.maxpool(e1))
        x3 = self.encoder3(x2)
        x4 = self.encoder4(x3)
        x5 = self.encoder5(x4)
        return e1, self.reduce2(x2), self.reduce3(x3), self.reduce4(x4), self.reduce5(x5)

    def _predict(self, level: int, u: Tensor, kernel: Tensor | None) -> Tensor:
        if kernel is None:
            return cast(Tensor, self.static_kernels[level](u))
        return apply_kernel(u, kernel)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: RGB as the recipe normalises it (the authors only scale to [0, 1]), (B, 3, H, W), sides
                multiples of 32.
        Returns:
            Logits P1 (B, 1, H, W), the scored map, then P2..P5, each half the size of the one before.
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "ldnet", training=self.training)
        e1, e2, e3, e4, e5 = self._encode(image)
        kernel = self.generate_head(self.gobal_average_pool(e5).flatten(1)) if self.has_dynamic else None
        d = self.decoder5(e5)  # (B, 512, H/16, W/16)
        logits = self._predict(0, self.get_submodule("unify5")(d), kernel)
        maps = [logits]
        for i, e in enumerate((e4, e3, e2, e1)):
            d = self.decoderList[i](torch.cat((self.lcaList[i](d, logits), self.esaList[i](e)), 1))
            u = self.unifyList[i](d)
            if self.has_update:
                kernel = self.headUpdators[i](u, kernel, logits)
            logits = self._predict(i + 1, u, kernel)
            maps.append(logits)
        return tuple(reversed(maps))

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """Sum BCE and Dice over the maps, or average ``criterion`` over them.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W); the native loss halves it step by step.
            criterion: ``(logits, mask) -> scalar``; None for the model's own loss.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, "ldnet")
        if criterion is not None:
            return mean_over_maps(outputs, mask, criterion)
        cross = probability_bce if self.legacy_bce else bce
        total = mask.new_zeros(())
        for logits in outputs:
            if logits.shape != mask.shape:
                mask = F.interpolate(mask, scale_factor=0.5, mode="bilinear", align_corners=True)
            total = total + cross(logits, mask) + dice(logits, mask)
        return total


class FirstOnly(nn.Module):
    """Stand in for the cross-attention when that is dropped: hand the features on, leave the map aside."""

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        return x


def build(
    *,
    pretrained: bool = False,
    weights: str | None = None,
    drop: Iterable[str] = (),
    lean: bool = False,
    legacy_bce: bool = False,
) -> LDNet:
    """Build LDNet.

    Args:
        pretrained: Start the encoder from timm's ImageNet weights.
        weights: Local ImageNet file for the encoder instead; an ``fc`` in it is left aside.
        drop: Parts to leave out, names of ``SWITCHES``.
        lean: Leave out work that cannot change the result, mainly the queries and keys of the cross-attention, whose
            softmax runs over a single key. Same tensors and gradients, fewer multiply-adds than the published network.
        legacy_bce: Native loss on probabilities, as released (True), or on logits, its stable equal (False).
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    return LDNet(pretrained=pretrained, weights=weights, drop=drop, lean=lean, legacy_bce=legacy_bce)
