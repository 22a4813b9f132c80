"""SANet: shallow attention network for polyp segmentation.

Paper: Wei et al., "Shallow Attention Network for Polyp Segmentation", MICCAI 2021.
Original: github.com/weijun88/SANet, MIT licence. No line of it is used here.
Differs: ``forward`` resizes the 1/8 map to the input's size itself (the original leaves that to its callers), and
the attention can be dropped. State-dict keys are the original's, so its checkpoints load strictly.
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
    encode,
    mean_over_maps,
    res2net50,
    resize,
)
from baselines.losses import bce, dice

SWITCHES: dict[str, str] = {
    "shallow_attention": "the products of each level with the deeper ones: without them the three levels are only "
    "concatenated (graph and output change; parameters and multiply-adds do not)",
}

WIDTH = 64


def _reduction(in_ch: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_ch, WIDTH, 1), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True))


class SANet(nn.Module):
    """The network; see ``build``."""

    def __init__(self, *, pretrained: bool, weights: str | None, drop: Iterable[str]) -> None:
        super().__init__()
        self.has_attention = "shallow_attention" not in check_drop(drop, SWITCHES, "sanet")
        self.bkbone, self.weights_info = res2net50(num_classes=0, pretrained=pretrained, weights=weights)
        self.linear5 = _reduction(2048)
        self.linear4 = _reduction(1024)
        self.linear3 = _reduction(512)
        self.predict = nn.Conv2d(3 * WIDTH, 1, 1)
        for part in (self.linear5, self.linear4, self.linear3, self.predict):
            part.apply(_initialise)

    def _coarse(self, image: Tensor) -> Tensor:
        """Return logits (B, 1, H/8, W/8)."""
        check_image(image, "sanet", training=self.training)
        c3, c4, c5 = encode(self.bkbone, image)
        r3 = self.linear3(c3)  # (B, 64, H/8, W/8)
        r4 = resize(self.linear4(c4), r3.shape[-2:], align_corners=True)
        r5 = resize(self.linear5(c5), r3.shape[-2:], align_corners=True)
        if self.has_attention:
            r4 = r4 * r5
            r3 = r3 * r4
        return cast(Tensor, self.predict(torch.cat((r5, r4, r3), 1)))

    def logits_at(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Segment at any output size: the 1/8 map is resized there in one step.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
            size: Height and width of the output in pixels.
        Returns:
            Logits, (B, 1, *size).
        """
        return resize(self._coarse(image), size, align_corners=True)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            One map of logits, (B, 1, H, W).
        Raises:
            ValueError: If the shape does not fit.
        """
        return (resize(self._coarse(image), image.shape[-2:], align_corners=True),)

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """BCE plus Dice, or ``criterion``.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W).
            criterion: ``(logits, mask) -> scalar``; None for the model's own loss, whose Dice has its 1 in the
                denominator only.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, "sanet")
        if criterion is not None:
            return mean_over_maps(outputs, mask, criterion)
        return bce(outputs[0], mask) + dice(outputs[0], mask, smooth_top=0.0, smooth_bottom=1.0)


def _initialise(module: nn.Module) -> None:
    """Kaiming normal by fan-in for convolutions, biases 0; batch norm starts at 1 and 0 anyway."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def build(*, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = ()) -> SANet:
    """Build SANet.

    Args:
        pretrained: Start the encoder from timm's ImageNet weights.
        weights: Local ImageNet file for the encoder instead; an ``fc`` in it is left aside.
        drop: Parts to leave out, names of ``SWITCHES``.
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    return SANet(pretrained=pretrained, weights=weights, drop=drop)


def probability_correction(logits: Tensor) -> Tensor:
    """Divide positive logits by the share of positive pixels, negative ones by the share of negative pixels.

    Corrects for small polyps: which side of 0 a pixel is on never changes, so scores at threshold 0.5 do not
    either, only those averaged over thresholds.

    Args:
        logits: At the mask's size, (..., H, W); each (H, W) map is corrected by itself.
    Returns:
        Logits of the same shape; zeros stay, and a sign that does not occur is left alone.
    Source: SANet (MICCAI 2021), section 2.4.
    """
    positive, negative = logits > 0, logits < 0
    # a sign that occurs nowhere divides nothing, so the floor of 1 only keeps 0/0 out
    num_pixels = logits.shape[-2] * logits.shape[-1]
    share_pos = positive.sum((-2, -1), keepdim=True).clamp(min=1) / num_pixels
    share_neg = negative.sum((-2, -1), keepdim=True).clamp(min=1) / num_pixels
    return torch.where(positive, logits / share_pos, torch.where(negative, logits / share_neg, logits))
