"""Unet++: nested skip connections; with a pretrained encoder (default), and as first published.

Paper: Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", DLMIA 2018.
Original: github.com/MrGiovanni/UNetPlusPlus; not used here. The default is segmentation-models-pytorch's (MIT), as a
dependency; it has no deep supervision. The classic variant is written here from the paper.
Differs: the deepest head alone is scored, where the paper's accurate mode averages the four.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from baselines.blocks import Criterion, check_image, check_mask, mean_over_maps
from baselines.losses import bce, dice
from baselines.smp_any import SmpNet

DEFAULT_ENCODER = "resnet34"
CLASSIC_CH = (32, 64, 128, 256, 512)


def half_bce_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """Half the cross entropy plus soft Dice, the paper's loss for one head; see ``losses.bce`` and ``losses.dice``."""
    return 0.5 * bce(logits, mask) + dice(logits, mask)


class UNetPlusPlus(SmpNet):
    """smp's UnetPlusPlus; native loss: half the cross entropy plus Dice."""

    native_loss = staticmethod(half_bce_dice)


def build(
    *, encoder: str = DEFAULT_ENCODER, pretrained: bool = False, weights: str | None = None, **options: Any
) -> UNetPlusPlus:
    """Build Unet++ with an encoder of smp or timm; arguments and errors as ``unet.build``."""
    return UNetPlusPlus("unetplusplus", encoder, pretrained=pretrained, weights=weights, **options)


def _double_conv(in_ch: int, out_ch: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_ch, out_ch, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_ch, out_ch, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class ClassicUNetPlusPlus(nn.Module):
    """The 2018 network: five levels, a triangle of nodes, transposed convolutions, no batch norm: 9.0 M parameters."""

    weights_info = None

    def __init__(self, *, deep_supervision: bool = True) -> None:
        super().__init__()
        self.depth = len(CLASSIC_CH) - 1
        self.deep_supervision = deep_supervision
        self.pool = nn.MaxPool2d(2)
        self.ups = nn.ModuleDict()
        self.nodes = nn.ModuleDict()
        for j in range(self.depth + 1):
            for i in range(self.depth + 1 - j):
                ch = CLASSIC_CH[i]
                if j == 0:
                    in_ch = CLASSIC_CH[i - 1] if i else 3
                else:
                    in_ch = (j + 1) * ch
                    self.ups[f"{i}_{j}"] = nn.ConvTranspose2d(CLASSIC_CH[i + 1], ch, 2, stride=2)
                self.nodes[f"{i}_{j}"] = _double_conv(in_ch, ch)
        num_heads = self.depth if deep_supervision else 1
        self.heads = nn.ModuleList(nn.Conv2d(CLASSIC_CH[0], 1, 1) for _ in range(num_heads))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            Logits, each (B, 1, H, W): the head of node (0, 4), then those of (0, 3), (0, 2), (0, 1).
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "unetplusplus:classic")
        rows: list[list[Tensor]] = [[] for _ in CLASSIC_CH]  # rows[i][j] is node (i, j) of level i
        x = image
        for i in range(self.depth + 1):
            x = self.nodes[f"{i}_0"](self.pool(x) if i else x)
            rows[i].append(x)
        for j in range(1, self.depth + 1):
            for i in range(self.depth + 1 - j):
                up = self.ups[f"{i}_{j}"](rows[i + 1][j - 1])
                rows[i].append(self.nodes[f"{i}_{j}"](torch.cat((*rows[i], up), 1)))
        tops = rows[0][1:] if self.deep_supervision else rows[0][-1:]
        return tuple(reversed([head(top) for head, top in zip(self.heads, tops, strict=True)]))

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """Average the paper's loss, or ``criterion``, over the heads; see ``SmpNet.loss``."""
        check_mask(outputs, mask, "unetplusplus:classic")
        return mean_over_maps(outputs, mask, criterion or half_bce_dice)


def build_classic(
    *, pretrained: bool = False, weights: str | None = None, deep_supervision: bool = True
) -> ClassicUNetPlusPlus:
    """Build the network as first published.

    Args:
        pretrained: Must be False: there are no weights.
        weights: Must be None.
        deep_supervision: Four heads, or only that of the last node.
    Raises:
        ValueError: If weights are asked for.
    """
    if pretrained or weights:
        raise ValueError(
            "unetplusplus:classic has no pretrained encoder: pass pretrained=false, or use unetplusplus with an encoder"
        )
    return ClassicUNetPlusPlus(deep_supervision=deep_supervision)
