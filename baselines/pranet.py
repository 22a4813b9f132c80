"""PraNet: parallel reverse attention network for polyp segmentation.

Paper: Fan et al., "PraNet: Parallel Reverse Attention Network for Polyp Segmentation", MICCAI 2020.
Original: github.com/DengPingFan/PraNet; its README allows research and education only. No line of it is used here.
Differs: outputs come finest first (the original returns the global map first and scores its last item), and the
parts can be dropped for ablation. State-dict keys are the original's, so its checkpoints load strictly.
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
    double,
    encode,
    mean_over_maps,
    res2net50,
    resize,
)
from baselines.losses import summed_structure_loss
from baselines.pranet_blocks import WIDTH, ConvUnit, PartialDecoder, PlainReduction, ReceptiveField

SWITCHES: dict[str, str] = {
    "reverse_attention": "the three side branches: without them the global map alone is the output "
    "(graph, output, parameters and cost change)",
    "reverse_gate": "the factor 1 - sigmoid before each side branch: without it the branches see the plain "
    "features (graph and output change; parameters and multiply-adds do not)",
    "partial_decoder": "fusing three levels into the global map: without it the map is a 1x1 convolution of the "
    "deepest level (graph, output, parameters and cost change)",
    "receptive_field": "the dilated branches before the decoder: without them each level is a 1x1 convolution, "
    "batch norm and ReLU (graph, output, parameters and cost change)",
}


class PraNet(nn.Module):
    """The network; see ``build``."""

    def __init__(
        self,
        *,
        pretrained: bool,
        weights: str | None,
        drop: Iterable[str],
        legacy_bce: bool,
    ) -> None:
        super().__init__()
        dropped = check_drop(drop, SWITCHES, "pranet")
        self.legacy_bce = legacy_bce
        self.has_gate = "reverse_gate" not in dropped
        self.has_branches = "reverse_attention" not in dropped
        # the classifier never runs, but it is in the published checkpoints
        self.resnet, self.weights_info = res2net50(num_classes=1000, pretrained=pretrained, weights=weights)
        level = PlainReduction if "receptive_field" in dropped else ReceptiveField
        if "partial_decoder" not in dropped:
            self.rfb2_1 = level(512)
            self.rfb3_1 = level(1024)
        self.rfb4_1 = level(2048)
        if "partial_decoder" in dropped:
            self.agg1: PartialDecoder | None = None
            self.global_head = nn.Conv2d(WIDTH, 1, 1)
        else:
            self.agg1 = PartialDecoder()
        if self.has_branches:
            self._add_branches()

    def _add_branches(self) -> None:
        self.ra4_conv1 = ConvUnit(2048, 256, 1)
        self.ra4_conv2 = ConvUnit(256, 256, 5, padding=2)
        self.ra4_conv3 = ConvUnit(256, 256, 5, padding=2)
        self.ra4_conv4 = ConvUnit(256, 256, 5, padding=2)
        self.ra4_conv5 = ConvUnit(256, 1, 1)
        self.ra3_conv1 = ConvUnit(1024, 64, 1)
        self.ra3_conv2 = ConvUnit(64, 64, 3, padding=1)
        self.ra3_conv3 = ConvUnit(64, 64, 3, padding=1)
        self.ra3_conv4 = ConvUnit(64, 1, 3, padding=1)
        self.ra2_conv1 = ConvUnit(512, 64, 1)
        self.ra2_conv2 = ConvUnit(64, 64, 3, padding=1)
        self.ra2_conv3 = ConvUnit(64, 64, 3, padding=1)
        self.ra2_conv4 = ConvUnit(64, 1, 3, padding=1)

    def _global_map(self, x2: Tensor, x3: Tensor, x4: Tensor) -> Tensor:
        if self.agg1 is None:
            return cast(Tensor, self.global_head(self.rfb4_1(x4)))  # (B, 1, H/32, W/32)
        return cast(Tensor, self.agg1(self.rfb4_1(x4), self.rfb3_1(x3), self.rfb2_1(x2)))  # (B, 1, H/8, W/8)

    def _refine(
        self, features: Tensor, guide: Tensor, first: nn.Module, middle: Sequence[nn.Module], last: nn.Module
    ) -> Tensor:
        """Add to the guide map what a side branch finds outside it."""
        z = features * (1 - torch.sigmoid(guide)) if self.has_gate else features
        z = first(z)
        for unit in middle:
            z = F.relu(unit(z))
        return cast(Tensor, last(z)) + guide

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            Logits at (H, W), each (B, 1, H, W): the scored map m2, then m3, m4 and the global map.
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "pranet", training=self.training)
        size = image.shape[-2:]
        x2, x3, x4 = encode(self.resnet, image)
        s = self._global_map(x2, x3, x4)
        if not self.has_branches:
            return (resize(s, size, align_corners=False),)
        g4 = resize(s, x4.shape[-2:], align_corners=False)  # averages the centre 2 x 2 of each 4 x 4 cell
        m4 = self._refine(x4, g4, self.ra4_conv1, (self.ra4_conv2, self.ra4_conv3, self.ra4_conv4), self.ra4_conv5)
        g3 = double(m4, align_corners=False)
        m3 = self._refine(x3, g3, self.ra3_conv1, (self.ra3_conv2, self.ra3_conv3), self.ra3_conv4)
        g2 = double(m3, align_corners=False)
        m2 = self._refine(x2, g2, self.ra2_conv1, (self.ra2_conv2, self.ra2_conv3), self.ra2_conv4)
        return tuple(resize(m, size, align_corners=False) for m in (m2, m3, m4, s))

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """Sum the structure loss over the maps, or average ``criterion`` over them.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W).
            criterion: ``(logits, mask) -> scalar``; None for the model's own loss, whose BCE is the released
                code's un-weighted one unless ``build(legacy_bce=False)``.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, "pranet")
        if criterion is not None:
            return mean_over_maps(outputs, mask, criterion)
        return summed_structure_loss(outputs, mask, legacy_bce=self.legacy_bce)


def build(
    *, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), legacy_bce: bool = True
) -> PraNet:
    """Build PraNet.

    Args:
        pretrained: Start the encoder from timm's ImageNet weights.
        weights: Local ImageNet file for the encoder instead, ``fc`` included.
        drop: Parts to leave out, names of ``SWITCHES``.
        legacy_bce: Native loss as released (True) or as the paper writes it (False).
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    return PraNet(pretrained=pretrained, weights=weights, drop=drop, legacy_bce=legacy_bce)


def min_max(prob: Tensor) -> Tensor:
    """Stretch each map to [0, 1]: (p - min) / (max - min + 1e-8), as PraNet's test script does.

    Args:
        prob: Probabilities at the mask's size, (..., H, W); each (H, W) map is stretched by itself.
    Returns:
        Same shape, in [0, 1); a constant map becomes 0.
    """
    low = prob.amin((-2, -1), keepdim=True)
    high = prob.amax((-2, -1), keepdim=True)
    return (prob - low) / (high - low + 1e-8)
