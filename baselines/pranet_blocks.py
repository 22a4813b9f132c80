"""PraNet's first half, which later networks took over: receptive-field blocks and the parallel partial decoder.

Paper: Fan et al., "PraNet: Parallel Reverse Attention Network for Polyp Segmentation", MICCAI 2020. Used by PraNet,
HarDNet-MSEG, CaraNet (the decoder alone, with bare convolutions) and PraNet-V2 (with two last convolutions).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.blocks import double

WIDTH = 32


class ConvUnit(nn.Module):
    """Convolution without bias, then batch norm, and no activation: the original owns a ReLU but never calls it."""

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        kernel: int | tuple[int, int],
        *,
        padding: int | tuple[int, int] = 0,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_ch, out_ch, kernel, padding=padding, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm2d(out_ch)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.bn(self.conv(x)))


class ReceptiveField(nn.Module):
    """Four parallel branches with growing kernels and dilations, and a residual path.

    ``(B, C, H, W) -> (B, 32, H, W)``, values >= 0.
    """

    def __init__(self, in_ch: int, out_ch: int = WIDTH) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(ConvUnit(in_ch, out_ch, 1))
        self.branch1 = self._branch(in_ch, out_ch, 3)
        self.branch2 = self._branch(in_ch, out_ch, 5)
        self.branch3 = self._branch(in_ch, out_ch, 7)
        self.conv_cat = ConvUnit(4 * out_ch, out_ch, 3, padding=1)
        self.conv_res = ConvUnit(in_ch, out_ch, 1)

    @staticmethod
    def _branch(in_ch: int, out_ch: int, k: int) -> nn.Sequential:
        return nn.Sequential(
            ConvUnit(in_ch, out_ch, 1),
            ConvUnit(out_ch, out_ch, (1, k), padding=(0, k // 2)),
            ConvUnit(out_ch, out_ch, (k, 1), padding=(k // 2, 0)),
            ConvUnit(out_ch, out_ch, 3, padding=k, dilation=k),
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x))
        return F.relu(self.conv_cat(torch.cat(branches, 1)) + self.conv_res(x))


class PlainReduction(nn.Module):
    """What stands in for ``ReceptiveField`` when that is dropped."""

    def __init__(self, in_ch: int, out_ch: int = WIDTH) -> None:
        super().__init__()
        self.conv_res = ConvUnit(in_ch, out_ch, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv_res(x))


def _up(x: Tensor) -> Tensor:
    return double(x, align_corners=True)


class LevelFusion(nn.Module):
    """Fuse three levels by products and concatenations into 96 channels at the finest level's size.

    ``unit`` makes each convolution: (in_ch, out_ch, kernel, padding=...) -> module.
    """

    def __init__(self, ch: int = WIDTH, *, unit: Callable[..., nn.Module] = ConvUnit) -> None:
        super().__init__()
        self.conv_upsample1 = unit(ch, ch, 3, padding=1)
        self.conv_upsample2 = unit(ch, ch, 3, padding=1)
        self.conv_upsample3 = unit(ch, ch, 3, padding=1)
        self.conv_upsample4 = unit(ch, ch, 3, padding=1)
        self.conv_upsample5 = unit(2 * ch, 2 * ch, 3, padding=1)
        self.conv_concat2 = unit(2 * ch, 2 * ch, 3, padding=1)
        self.conv_concat3 = unit(3 * ch, 3 * ch, 3, padding=1)
        self.conv4 = unit(3 * ch, 3 * ch, 3, padding=1)

    def fuse(self, f4: Tensor, f3: Tensor, f2: Tensor) -> Tensor:
        """Return (B, 96, H/8, W/8) from 32 channels at H/32, H/16 and H/8."""
        up4, up3 = _up(f4), _up(f3)
        b = self.conv_upsample1(up4) * f3  # (B, 32, H/16, W/16)
        # two doublings: with aligned corners that is not one step of four
        c = self.conv_upsample2(_up(up4)) * self.conv_upsample3(up3) * f2  # (B, 32, H/8, W/8)
        d = self.conv_concat2(torch.cat((b, self.conv_upsample4(up4)), 1))  # (B, 64, H/16, W/16)
        e = self.conv_concat3(torch.cat((c, self.conv_upsample5(_up(d))), 1))  # (B, 96, H/8, W/8)
        return cast(Tensor, self.conv4(e))


class PartialDecoder(LevelFusion):
    """Fuse three levels into one logit map at the finest level's size."""

    def __init__(self, ch: int = WIDTH, *, unit: Callable[..., nn.Module] = ConvUnit) -> None:
        super().__init__(ch, unit=unit)
        self.conv5 = nn.Conv2d(3 * ch, 1, 1)

    def forward(self, f4: Tensor, f3: Tensor, f2: Tensor) -> Tensor:
        """Return logits (B, 1, H/8, W/8) from 32 channels at H/32, H/16 and H/8."""
        return cast(Tensor, self.conv5(self.fuse(f4, f3, f2)))
