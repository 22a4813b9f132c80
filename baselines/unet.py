"""U-Net: with a pretrained encoder (default), and as first published.

Paper: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.
Original: Caffe network on the authors' site. The default is segmentation-models-pytorch's (MIT), as a dependency.
Differs: the classic variant pads its convolutions, so that the map has the image's size, and has batch norm, as is
usual since; the loss is plain cross entropy, without the paper's weights for touching cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from baselines.blocks import Criterion, check_image, check_mask, mean_over_maps
from baselines.losses import bce
from baselines.smp_any import SmpNet

DEFAULT_ENCODER = "resnet34"
CLASSIC_CH = (64, 128, 256, 512, 1024)


class UNet(SmpNet):
    """smp's Unet; native loss: cross entropy."""

    native_loss = staticmethod(bce)


def build(
    *, encoder: str = DEFAULT_ENCODER, pretrained: bool = False, weights: str | None = None, **options: Any
) -> UNet:
    """Build U-Net with an encoder of smp or timm.

    Args:
        encoder: smp's name, or ``tu-<timm name>``.
        pretrained: Start the encoder from its ImageNet weights.
        weights: Local ImageNet file for the encoder instead.
        options: Handed to smp's class.
    Raises:
        ValueError: If the encoder is unknown, or weights are missing or do not fit.
    """
    return UNet("unet", encoder, pretrained=pretrained, weights=weights, **options)


def _double_conv(in_ch: int, out_ch: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for ch in (in_ch, out_ch):
        layers += [nn.Conv2d(ch, out_ch, 3, padding=1), nn.BatchNorm2d(out_ch), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class ClassicUNet(nn.Module):
    """The 2015 network, padded and with batch norm: 31.0 M parameters."""

    weights_info = None

    def __init__(self) -> None:
        super().__init__()
        levels = list(pairwise(CLASSIC_CH))
        self.stem = _double_conv(3, CLASSIC_CH[0])
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(_double_conv(low, high) for low, high in levels)
        self.up = nn.ModuleList(nn.ConvTranspose2d(high, low, 2, stride=2) for low, high in reversed(levels))
        self.fuse = nn.ModuleList(_double_conv(high, low) for low, high in reversed(levels))
        self.head = nn.Conv2d(CLASSIC_CH[0], 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            One map of logits, (B, 1, H, W).
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "unet:classic", training=self.training)
        x = self.stem(image)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(self.pool(x))
        for up, fuse in zip(self.up, self.fuse, strict=True):
            x = fuse(torch.cat((skips.pop(), up(x)), 1))
        return (cast(Tensor, self.head(x)),)

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """Return cross entropy, or ``criterion``; see ``SmpNet.loss``."""
        check_mask(outputs, mask, "unet:classic")
        return mean_over_maps(outputs, mask, criterion or bce)


def build_classic(*, pretrained: bool = False, weights: str | None = None) -> ClassicUNet:
    """Build the network as first published.

    Raises:
        ValueError: If weights are asked for: there are none.
    """
    if pretrained or weights:
        raise ValueError("unet:classic has no pretrained encoder: pass pretrained=false, or use unet with an encoder")
    return ClassicUNet()
