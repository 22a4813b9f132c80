"""SSFormer-S and SSFormer-L: stepwise feature fusion on a pyramid transformer, for polyp segmentation.

Paper: Wang et al., "Stepwise Feature Fusion: Local Guides Global", MICCAI 2022.
Original: github.com/Qiming-Huang/ssformer, no licence file. No line of it is used here.
Differs: the output comes as a tuple of one map, and parts can be dropped. State-dict keys are the original's, a fusion
unit that never runs included, so its checkpoints load strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.blocks import Criterion, check_drop, check_image, check_mask, mean_over_maps, resize
from baselines.losses import wide
from baselines.pyramid import WIDTHS, PyramidName, pyramid

SWITCHES: dict[str, str] = {
    "local_emphasis": "the two 3x3 convolutions on each level: without them each level is a 1x1 convolution and ReLU "
    "(graph, output, parameters and cost change)",
    "stepwise_fusion": "fusing the levels two by two, deepest first: without it all four are concatenated and fused "
    "at once, by the unit that the original keeps but never calls (graph, output, parameters and cost change)",
}

WIDTH = 256
DROP_PATH_RATE = 0.1
DROPOUT_RATE = 0.1


class LocalEmphasis(nn.Module):
    """Two 3x3 convolutions with ReLU, without bias or norm: (B, C, H, W) -> (B, 256, H, W), values >= 0."""

    def __init__(self, in_ch: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_ch, WIDTH, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.proj(x))


class PlainReduction(nn.Module):
    """What stands in for ``LocalEmphasis`` when that is dropped: a 1x1 convolution and ReLU."""

    def __init__(self, in_ch: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_ch, WIDTH, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.reduce(x))


class Fusion(nn.Module):
    """1x1 convolution of concatenated maps, batch norm, ReLU."""

    def __init__(self, num_maps: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_maps * WIDTH, WIDTH, 1, bias=False)
        self.bn = nn.BatchNorm2d(WIDTH)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, *maps: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(torch.cat(maps, 1))))


class ProgressiveDecoder(nn.Module):
    """Bring four levels to one width and size, and fuse them into one logit map at the finest level's size."""

    def __init__(self, dropped: frozenset[str]) -> None:
        super().__init__()
        self.is_stepwise = "stepwise_fusion" not in dropped
        emphasis = PlainReduction if "local_emphasis" in dropped else LocalEmphasis
        self.linear_c4 = emphasis(WIDTHS[3])
        self.linear_c3 = emphasis(WIDTHS[2])
        self.linear_c2 = emphasis(WIDTHS[1])
        self.linear_c1 = emphasis(WIDTHS[0])
        self.linear_fuse = Fusion(4)  # in the published checkpoints, but it never runs
        if self.is_stepwise:
            self.linear_fuse34 = Fusion(2)
            self.linear_fuse2 = Fusion(2)
            self.linear_fuse1 = Fusion(2)
        self.linear_pred = nn.Conv2d(WIDTH, 1, 1)
        self.dropout = nn.Dropout(DROPOUT_RATE)

    def forward(self, c1: Tensor, c2: Tensor, c3: Tensor, c4: Tensor) -> Tensor:
        """Return logits (B, 1, H/4, W/4) from the backbone's maps at H/4, H/8, H/16 and H/32."""
        size = c1.shape[-2:]
        l4 = resize(self.linear_c4(c4), size, align_corners=False)
        l3 = resize(self.linear_c3(c3), size, align_corners=False)
        l2 = resize(self.linear_c2(c2), size, align_corners=False)
        l1 = self.linear_c1(c1)
        if self.is_stepwise:
            fused = self.linear_fuse1(self.linear_fuse2(self.linear_fuse34(l4, l3), l2), l1)
        else:
            fused = self.linear_fuse(l4, l3, l2, l1)
        return cast(Tensor, self.linear_pred(self.dropout(fused)))


class SSFormer(nn.Module):
    """The network; see ``build_s`` and ``build_l``."""

    def __init__(
        self,
        encoder: PyramidName,
        *,
        pretrained: bool,
        weights: str | None,
        drop: Iterable[str],
        double_sigmoid: bool,
    ) -> None:
        super().__init__()
        dropped = check_drop(drop, SWITCHES, "ssformer")
        self.double_sigmoid = double_sigmoid
        self.backbone, self.weights_info = pyramid(
            encoder, drop_path_rate=DROP_PATH_RATE, pretrained=pretrained, weights=weights
        )
        self.decode_head = ProgressiveDecoder(dropped)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            One map of logits, (B, 1, H, W).
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "ssformer")
        logits = self.decode_head(*self.backbone(image))
        # corners are aligned here, unlike inside the decoder
        return (resize(logits, image.shape[-2:], align_corners=True),)

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """BCE plus a Dice of single pixels, see ``pixel_loss``, or ``criterion``.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W).
            criterion: ``(logits, mask) -> scalar``; None for the model's own loss, which is given probabilities in
                place of logits, as released, unless ``double_sigmoid=False``.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, "ssformer")
        if criterion is not None:
            return mean_over_maps(outputs, mask, criterion)
        logits = wide(outputs[0])
        return pixel_loss(logits.sigmoid() if self.double_sigmoid else logits, mask)


def pixel_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """BCE plus 1 - (2 p G + 1) / (p + G + 1), both per pixel, mean over all pixels.

    Args:
        logits: Raw scores, (B, 1, H, W); p = sigmoid(logits). The released script gives probabilities here, so that
            p lies in [0.5, 0.731] and the loss has no finite optimum.
        mask: Ground truth G in [0, 1], (B, 1, H, W).
    Returns:
        Scalar >= 0.
    """
    logits, mask = wide(logits), wide(mask)
    prob = logits.sigmoid()
    dice = 1 - (2 * prob * mask + 1) / (prob + mask + 1)
    return F.binary_cross_entropy_with_logits(logits, mask) + dice.mean()


def build_s(
    *, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), double_sigmoid: bool = True
) -> SSFormer:
    """Build SSFormer-S, on MiT-b2.

    Args:
        pretrained: Start the encoder from SegFormer's ImageNet weights (NVIDIA's non-commercial licence), as smp
            hands them on.
        weights: Local ImageNet file for the encoder instead; a classifier in it is left aside.
        drop: Parts to leave out, names of ``SWITCHES``.
        double_sigmoid: Native loss as released (True) or on the logits that it expects (False).
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    return SSFormer("mit_b2", pretrained=pretrained, weights=weights, drop=drop, double_sigmoid=double_sigmoid)


def build_l(
    *, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), double_sigmoid: bool = True
) -> SSFormer:
    """Build SSFormer-L, on MiT-b4; everything else is as in ``build_s``."""
    return SSFormer("mit_b4", pretrained=pretrained, weights=weights, drop=drop, double_sigmoid=double_sigmoid)
