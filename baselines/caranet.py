"""CaraNet: context axial reverse attention network for small medical objects.

Paper: Lou et al., "CaraNet: Context Axial Reverse Attention Network for Segmentation of Small Medical Objects",
SPIE Medical Imaging 2022 (and Journal of Medical Imaging 2023).
Original: github.com/AngeLouCN/CaraNet, no licence file. No line of it is used here.
Differs: parts can be dropped for ablation. Outputs come in the original's order, finest first, and state-dict keys
are the original's, so its checkpoints load strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from baselines.blocks import (
    Criterion,
    check_drop,
    check_image,
    check_mask,
    double,
    encode,
    mean_over_maps,
    res2net101,
    resize,
)
from baselines.losses import summed_structure_loss
from baselines.pranet_blocks import WIDTH, PartialDecoder

SWITCHES: dict[str, str] = {
    "refinement": "the three side branches with context, attention and gate: without them the global map alone is "
    "the output (graph, output and parameters change; cost hardly does)",
    "context": "the channel-wise feature pyramids (CFP) of the side branches: without them the attention sees the "
    "reduced features (graph, output and parameters change; cost hardly does)",
    "axial_attention": "the axial attention of the side branches with its two convolutions: without it the gate "
    "follows the context (graph, output and parameters change; cost hardly does)",
    "reverse_gate": "the factor 1 - sigmoid in each side branch: without it the convolutions see the attended "
    "features as they are (graph and output change; parameters and multiply-adds do not)",
    "partial_decoder": "fusing three levels into the global map: without it the map is a 1x1 convolution of the "
    "deepest level (graph, output, parameters and cost change)",
}

BN_EPS = 1e-3  # outside the backbone; torch's default is 1e-5
RATES = (1, 3, 5, 9)  # dilation of branches 1..4 of a feature pyramid: 1, 3, 5 and 9 for the published rate of 8


class BareConv(nn.Module):
    """Convolution without bias, norm or activation, under the original's key ``conv``."""

    def __init__(self, in_ch: int, out_ch: int, kernel: int, *, padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_ch, out_ch, kernel, padding=padding, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(x))


class NormAct(nn.Module):
    """Batch norm with eps 1e-3, then PReLU with one slope per channel."""

    def __init__(self, ch: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(ch, eps=BN_EPS)
        self.acti = nn.PReLU(ch)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.acti(self.bn(x)))


class ConvUnit(nn.Module):
    """3x3 convolution without bias that keeps the size, then ``NormAct``."""

    def __init__(self, in_ch: int, out_ch: int, *, dilation: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_ch, out_ch, 3, padding=dilation, dilation=dilation, groups=groups, bias=False)
        self.bn_relu = NormAct(out_ch)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.bn_relu(self.conv(x)))


class FeaturePyramid(nn.Module):
    """Channel-wise feature pyramid (CFP): four dilated branches, summed up cumulatively, on a residual path.

    ``(B, 32, H, W) -> (B, 32, H, W)``.
    """

    def __init__(self, ch: int = WIDTH) -> None:
        super().__init__()
        narrow = ch // 4
        self.bn_relu_1 = NormAct(ch)
        self.bn_relu_2 = NormAct(ch)
        self.conv1x1_1 = ConvUnit(ch, narrow)  # 3x3, whatever its published name says
        for branch in (4, 1, 2, 3):  # the order of the published keys
            rate = RATES[branch - 1]
            widths = (narrow, narrow // 4, narrow // 4, narrow // 2)
            for i in (1, 2, 3):
                unit = ConvUnit(widths[i - 1], widths[i], dilation=rate, groups=2)
                self.add_module(f"dconv_{branch}_{i}", unit)
        self.conv1x1 = BareConv(ch, ch, 1)

    def _branch(self, number: int, x: Tensor) -> Tensor:
        outs = []
        for i in (1, 2, 3):
            x = self.get_submodule(f"dconv_{number}_{i}")(x)
            outs.append(x)
        return torch.cat(outs, 1)  # 2 + 2 + 4 channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1x1_1(self.bn_relu_1(x))
        total = self._branch(1, y)
        sums = [total]
        for number in (2, 3, 4):
            total = total + self._branch(number, y)
            sums.append(total)
        return cast(Tensor, self.conv1x1(self.bn_relu_2(torch.cat(sums, 1)))) + x


class LineAttention(nn.Module):
    """Attention within lines of ``length`` pixels, all lines of an image sharing one sigmoid affinity matrix.

    The published "height" attention does not transpose: it re-reads the memory of an image, row after row, as lines
    as long as the image is high. So on square maps both attentions run along the width.
    """

    def __init__(self, ch: int = WIDTH) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.query_conv = BareConv(ch, ch // 8, 1)
        self.key_conv = BareConv(ch, ch // 8, 1)
        self.value_conv = BareConv(ch, ch, 1)

    def forward(self, x: Tensor, length: int) -> Tensor:
        """``(B, C, H, W) -> (B, C, H, W)``; ``length`` is H or W."""
        query, key, value = (
            # row-major whatever the memory format, which the published code takes for granted
            part.contiguous(memory_format=torch.contiguous_format).view(len(x), -1, length)
            for part in (self.query_conv(x), self.key_conv(x), self.value_conv(x))
        )
        affinity = torch.bmm(query.transpose(1, 2), key).sigmoid()  # (B, length, length), query index first
        lines = torch.bmm(value, affinity.transpose(1, 2))
        return self.gamma * lines.view(x.shape) + x


class AxialAttention(nn.Module):
    """Two bare convolutions, then the published height and width attentions in series."""

    def __init__(self, ch: int = WIDTH) -> None:
        super().__init__()
        self.conv0 = BareConv(ch, ch, 1)
        self.conv1 = BareConv(ch, ch, 3, padding=1)
        self.Hattn = LineAttention(ch)
        self.Wattn = LineAttention(ch)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = self.conv1(self.conv0(x))
        return cast(Tensor, self.Wattn(self.Hattn(x, height), width))


class CaraNet(nn.Module):
    """The network; see ``build``."""

    def __init__(self, *, pretrained: bool, weights: str | None, drop: Iterable[str], legacy_bce: bool) -> None:
        super().__init__()
        dropped = check_drop(drop, SWITCHES, "caranet")
        self.legacy_bce = legacy_bce
        self.has_gate = "reverse_gate" not in dropped
        self.has_refinement = "refinement" not in dropped
        # the classifier never runs, but it is in the published checkpoints
        self.resnet, self.weights_info = res2net101(num_classes=1000, pretrained=pretrained, weights=weights)
        if self.has_refinement or "partial_decoder" not in dropped:
            self.rfb2_1 = ConvUnit(512, WIDTH)
            self.rfb3_1 = ConvUnit(1024, WIDTH)
        self.rfb4_1 = ConvUnit(2048, WIDTH)
        if "partial_decoder" in dropped:
            self.agg1: PartialDecoder | None = None
            self.global_head = nn.Conv2d(WIDTH, 1, 1)
        else:
            self.agg1 = PartialDecoder(WIDTH, unit=BareConv)
        if self.has_refinement:
            self._add_branches(dropped)

    def _add_branches(self, dropped: frozenset[str]) -> None:
        for level in (1, 2, 3):
            self.add_module(f"CFP_{level}", nn.Identity() if "context" in dropped else FeaturePyramid())
        for level in (1, 2, 3):
            self.add_module(f"ra{level}_conv1", ConvUnit(WIDTH, WIDTH))
            self.add_module(f"ra{level}_conv2", ConvUnit(WIDTH, WIDTH))
            self.add_module(f"ra{level}_conv3", ConvUnit(WIDTH, 1))
        for level in (1, 2, 3):
            self.add_module(f"aa_kernel_{level}", nn.Identity() if "axial_attention" in dropped else AxialAttention())

    def _global_map(self, x2: Tensor, x3: Tensor, x4: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the global logits and the reduced features that the branches need, finest first."""
        f4 = self.rfb4_1(x4)  # (B, 32, H/32, W/32)
        if self.agg1 is None:
            finer = [self.rfb2_1(x2), self.rfb3_1(x3)] if self.has_refinement else []
            return self.global_head(f4), [*finer, f4]  # (B, 1, H/32, W/32)
        f2, f3 = self.rfb2_1(x2), self.rfb3_1(x3)
        return self.agg1(f4, f3, f2), [f2, f3, f4]  # (B, 1, H/8, W/8)

    def _refine(self, level: int, features: Tensor, guide: Tensor) -> Tensor:
        """Add to the guide map what a side branch finds outside it; the last unit keeps its norm and activation."""
        z = self.get_submodule(f"CFP_{level}")(features)
        z = self.get_submodule(f"aa_kernel_{level}")(z)
        if self.has_gate:
            z = z * (1 - torch.sigmoid(guide))
        for i in (1, 2, 3):
            z = self.get_submodule(f"ra{level}_conv{i}")(z)
        return z + guide

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            Logits at (H, W), each (B, 1, H, W): the scored map m1, then m2, m3 and the global map.
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "caranet", training=self.training)
        size = image.shape[-2:]
        m, features = self._global_map(*encode(self.resnet, image))
        if not self.has_refinement:
            return (resize(m, size, align_corners=False),)
        f2, f3, f4 = features
        m3 = self._refine(3, f4, resize(m, f4.shape[-2:], align_corners=False))  # centre 2 x 2 of each 4 x 4 cell
        m2 = self._refine(2, f3, double(m3, align_corners=False))
        m1 = self._refine(1, f2, double(m2, align_corners=False))
        return tuple(resize(x, size, align_corners=False) for x in (m1, m2, m3, m))

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
        check_mask(outputs, mask, "caranet")
        if criterion is not None:
            return mean_over_maps(outputs, mask, criterion)
        return summed_structure_loss(outputs, mask, legacy_bce=self.legacy_bce)


def build(
    *, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), legacy_bce: bool = True
) -> CaraNet:
    """Build CaraNet.

    Args:
        pretrained: Start the encoder from timm's ImageNet weights (``res2net101d``).
        weights: Local ImageNet file for the encoder instead, ``fc`` included.
        drop: Parts to leave out, names of ``SWITCHES``.
        legacy_bce: Native loss as released (True) or with the edge-weighted BCE that PraNet's paper writes (False).
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    return CaraNet(pretrained=pretrained, weights=weights, drop=drop, legacy_bce=legacy_bce)
