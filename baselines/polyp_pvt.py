"""Polyp-PVT: polyp segmentation with a pyramid vision transformer.

Paper: Dong et al., "Polyp-PVT: Polyp Segmentation with Pyramid Vision Transformers", CAAI AIR 2023 (arXiv 2021).
Original: github.com/DengPingFan/Polyp-PVT; its README allows research and education only. No line of it is used here.
Differs: the scored map, the sum of the two supervised ones, comes first (the original leaves adding to its test
script), and parts can be dropped. State-dict keys are the original's, so its checkpoints load strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.blocks import Criterion, check_drop, check_image, check_mask, mean_over_maps, resize
from baselines.losses import summed_structure_loss
from baselines.pranet_blocks import WIDTH, ConvUnit, LevelFusion
from baselines.pyramid import WIDTHS, pyramid

SWITCHES: dict[str, str] = {
    "camouflage_identification": "the channel and spatial gates on the shallowest level: without them it enters as it "
    "is (graph, output and parameters change; cost hardly does)",
    "cascaded_fusion": "joining the three deeper levels by products and convolutions: without it they are resized and "
    "added up (graph, output, parameters and cost change)",
    "similarity_aggregation": "the graph convolution between the fused features and the guide: without it the guide "
    "is added to them (graph, output and parameters change; cost hardly does)",
}

DROP_PATH_RATE = 0.1
NUM_STATES = 16
NUM_NODES = 16  # the inner 4 x 4 of 6 x 6 pooled cells
POOLED_SIDE = 6
GATE_CHANNEL = 1


class ChannelGate(nn.Module):
    """Weigh channels by a sigmoid of one small network on their mean plus the same on their maximum."""

    def __init__(self, width: int, *, squeeze: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // squeeze, 1, bias=False)
        self.fc2 = nn.Conv2d(width // squeeze, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean, most = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        z = self.fc2(F.relu(self.fc1(mean))) + self.fc2(F.relu(self.fc1(most)))
        return torch.sigmoid(z) * x


class SpatialGate(nn.Module):
    """Weigh pixels by a sigmoid of a 7x7 convolution on the mean and the maximum over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv1(torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1))
        return torch.sigmoid(z) * x


class CascadedFusion(LevelFusion):
    """PraNet's fusion of three levels, reduced to 32 channels at the finest level's size."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__(width)
        self.conv4 = ConvUnit(3 * width, width, 3, padding=1)

    def forward(self, f4: Tensor, f3: Tensor, f2: Tensor) -> Tensor:
        return self.fuse(f4, f3, f2)


class Addition(nn.Module):
    """Stand in for ``CascadedFusion`` when that is dropped: the levels are resized to the finest and added up."""

    def forward(self, f4: Tensor, f3: Tensor, f2: Tensor) -> Tensor:
        return f2 + sum(resize(f, f2.shape[-2:], align_corners=True) for f in (f4, f3))


class GraphConvolution(nn.Module):
    """Mix nodes, subtract the input, mix states, ReLU: (B, states, nodes) -> the same shape, values >= 0."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(NUM_NODES, NUM_NODES, 1)
        self.conv2 = nn.Conv1d(NUM_STATES, NUM_STATES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x.transpose(1, 2)).transpose(1, 2) - x
        return F.relu(self.conv2(h))


class SimilarityAggregation(nn.Module):
    """Project pixels onto nodes that the guide marks, reason between the nodes, and project back."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.conv_state = nn.Conv2d(width, NUM_STATES, 1)
        self.conv_proj = nn.Conv2d(width, NUM_STATES, 1)
        self.gcn = GraphConvolution()
        self.conv_extend = nn.Conv2d(NUM_STATES, width, 1, bias=False)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Refine features (B, 32, h, w) by a guide of the same shape."""
        gate = guide.softmax(1)[:, GATE_CHANNEL : GATE_CHANNEL + 1]  # the original takes one channel of the softmax
        states = self.conv_state(x).flatten(2)  # (B, S, h * w)
        projected = self.conv_proj(x)
        anchors = F.adaptive_avg_pool2d(projected * gate, POOLED_SIDE)[:, :, 1:-1, 1:-1].flatten(2)  # (B, S, N)
        assignment = (anchors.transpose(1, 2) @ projected.flatten(2)).softmax(1)  # (B, N, h * w): a pixel sums to 1
        nodes = states @ assignment.transpose(1, 2)  # (B, S, N): a sum over pixels, which grows with the image
        back = (self.gcn(nodes) @ assignment).unflatten(2, x.shape[-2:])
        return x + cast(Tensor, self.conv_extend(back))


class GuideAddition(nn.Module):
    """Stand in for ``SimilarityAggregation`` when that is dropped."""

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        return x + guide


class PolypPVT(nn.Module):
    """The network; see ``build``."""

    def __init__(self, *, pretrained: bool, weights: str | None, drop: Iterable[str], legacy_bce: bool) -> None:
        super().__init__()
        dropped = check_drop(drop, SWITCHES, "polyp_pvt")
        self.legacy_bce = legacy_bce
        self.backbone, self.weights_info = pyramid(
            "pvt_v2_b2", drop_path_rate=DROP_PATH_RATE, pretrained=pretrained, weights=weights
        )
        self.Translayer2_0 = ConvUnit(WIDTHS[0], WIDTH, 1)
        self.Translayer2_1 = ConvUnit(WIDTHS[1], WIDTH, 1)
        self.Translayer3_1 = ConvUnit(WIDTHS[2], WIDTH, 1)
        self.Translayer4_1 = ConvUnit(WIDTHS[3], WIDTH, 1)
        self.CFM = Addition() if "cascaded_fusion" in dropped else CascadedFusion()
        has_gates = "camouflage_identification" not in dropped
        self.ca = ChannelGate(WIDTHS[0]) if has_gates else nn.Identity()
        self.sa = SpatialGate() if has_gates else nn.Identity()
        self.SAM = GuideAddition() if "similarity_aggregation" in dropped else SimilarityAggregation()
        self.out_SAM = nn.Conv2d(WIDTH, 1, 1)
        self.out_CFM = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            Logits at (H, W), each (B, 1, H, W): the scored map, which is the sum of the other two; then the fused
            features' map and the refined features' map, which the native loss supervises.
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "polyp_pvt", training=self.training)
        x1, x2, x3, x4 = self.backbone(image)
        fused = self.CFM(self.Translayer4_1(x4), self.Translayer3_1(x3), self.Translayer2_1(x2))  # (B, 32, H/8, W/8)
        guide = resize(self.Translayer2_0(self.sa(self.ca(x1))), fused.shape[-2:], align_corners=True)
        refined = self.SAM(fused, guide)
        size = image.shape[-2:]
        first = resize(self.out_CFM(fused), size, align_corners=False)
        second = resize(self.out_SAM(refined), size, align_corners=False)
        return first + second, first, second

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """Sum the structure loss over the two supervised maps, or average ``criterion`` over all three.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W).
            criterion: ``(logits, mask) -> scalar``; None for the model's own loss, whose BCE is the released
                code's un-weighted one unless ``build(legacy_bce=False)``.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, "polyp_pvt")
        if criterion is not None:
            return mean_over_maps(outputs, mask, criterion)
        return summed_structure_loss(outputs[1:], mask, legacy_bce=self.legacy_bce)


def build(
    *, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), legacy_bce: bool = True
) -> PolypPVT:
    """Build Polyp-PVT.

    Args:
        pretrained: Start the encoder from timm's ImageNet weights of PVTv2-b2.
        weights: Local ImageNet file for the encoder instead, the authors' or timm's; its classifier is left aside.
        drop: Parts to leave out, names of ``SWITCHES``.
        legacy_bce: Native loss as released (True) or as PraNet's paper writes it (False).
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    return PolypPVT(pretrained=pretrained, weights=weights, drop=drop, legacy_bce=legacy_bce)
