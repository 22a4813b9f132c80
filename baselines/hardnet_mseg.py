"""HarDNet-MSEG: a fast encoder-decoder for polyps on HarDNet-68.

Paper: Huang et al., "HarDNet-MSEG: A Simple Encoder-Decoder Polyp Segmentation Neural Network that Achieves over
0.9 Mean Dice and 86 FPS", arXiv 2101.07172 (2021). Backbone: Chao et al., "HarDNet", ICCV 2019.
Original: github.com/james128333/HarDNet-MSEG, Apache-2.0. No line of it is used here.
Differs: parts can be dropped for ablation. State-dict keys are the original's, with the 106 that nothing reads
(PraNet's side branches, left over in the released file; 15,919,407 parameters), so its checkpoints load strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from baselines.blocks import Criterion, check_drop, check_image, check_mask, mean_over_maps, resize
from baselines.losses import structure_loss
from baselines.pranet_blocks import WIDTH, ConvUnit, PartialDecoder, PlainReduction, ReceptiveField
from baselines.weights import WeightsInfo, load_encoder

SWITCHES: dict[str, str] = {
    "partial_decoder": "fusing three levels into the map: without it the map is a 1x1 convolution of the deepest "
    "level (graph, output, parameters and cost change)",
    "receptive_field": "the dilated branches before the decoder: without them each level is a 1x1 convolution, "
    "batch norm and ReLU (graph, output, parameters and cost change)",
}

GROWTH_FACTOR = 1.7
NUM_CLASSES = 1000  # of ImageNet; the classifier never runs, but it is in the published checkpoints


class ConvNormAct(nn.Module):
    """Convolution without bias that keeps the size (but for its stride), then batch norm and ReLU6."""

    def __init__(self, in_ch: int, out_ch: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_ch, out_ch, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_ch)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.act(self.norm(self.conv(x))))


def link(n: int) -> tuple[int, ...]:
    """Return which earlier outputs layer ``n`` (from 1) reads, nearest first; 0 is the block's input."""
    return tuple(n - 2**i for i in range(n.bit_length()) if n % 2**i == 0)


def layer_width(n: int, growth: int) -> int:
    """Return the channels of layer ``n`` (from 1): the growth rate times 1.7 per further link, to an even number."""
    value = growth * GROWTH_FACTOR ** (len(link(n)) - 1)
    return 2 * (int(value + 1) // 2)


class HarmonicBlock(nn.Module):
    """Layers that read the outputs a power of two before them; the odd ones and the last are the block's output.

    ``(B, in_ch, H, W) -> (B, out_ch, H, W)``, values in [0, 6].
    """

    def __init__(self, in_ch: int, growth: int, num_layers: int) -> None:
        super().__init__()
        widths = [in_ch, *(layer_width(n, growth) for n in range(1, num_layers + 1))]
        self.layers = nn.ModuleList(
            ConvNormAct(sum(widths[k] for k in link(n)), widths[n], 3) for n in range(1, num_layers + 1)
        )
        self.kept = tuple(n for n in range(1, num_layers + 1) if n % 2 or n == num_layers)
        self.out_ch = sum(widths[n] for n in self.kept)

    def forward(self, x: Tensor) -> Tensor:
        outs = [x]
        for n, layer in enumerate(self.layers, start=1):
            sources = [outs[k] for k in link(n)]
            outs.append(layer(torch.cat(sources, 1) if len(sources) > 1 else sources[0]))
        return torch.cat([outs[n] for n in self.kept], 1)


class HarDNet68(nn.Module):
    """The backbone, without its depth-wise variant; ``base`` is indexed as published."""

    channels = (320, 640, 1024)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormAct(3, 32, 3, stride=2), ConvNormAct(32, 64, 3)]
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        ch = 64
        # growth, layers, channels after the transition, whether a pool follows
        for growth, num_layers, out_ch, pool in (
            (14, 8, 128, True),
            (16, 16, 256, False),
            (20, 16, 320, True),
            (40, 16, 640, True),
            (160, 4, 1024, False),
        ):
            block = HarmonicBlock(ch, growth, num_layers)
            layers += [block, ConvNormAct(block.out_ch, out_ch, 1)]
            layers += [nn.MaxPool2d(2, stride=2)] if pool else []
            ch = out_ch
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(ch, NUM_CLASSES))
        self.base = nn.ModuleList([*layers, head])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, 320, H/8, W/8), (B, 640, H/16, W/16) and (B, 1024, H/32, W/32), values in [0, 6]."""
        x, taps = image, []
        for i, layer in enumerate(self.base[:-1]):
            x = layer(x)
            if i in (9, 12, 15):
                taps.append(x)
        x2, x3, x4 = taps
        return x2, x3, x4


def hardnet68(*, pretrained: bool = False, weights: str | None = None) -> tuple[HarDNet68, WeightsInfo | None]:
    """Build HarDNet-68.

    Args:
        pretrained: Refused without ``weights``: no hub that this package asks has the file.
        weights: The authors' ``hardnet68.pth`` (github.com/PingoLH/Pytorch-HarDNet), classifier included.
    Returns:
        The backbone, and what was loaded into it.
    Raises:
        ValueError: If the weights cannot be had, or do not fit.
    """
    if weights is None and pretrained:
        raise ValueError(
            "ImageNet weights of HarDNet-68 are neither in timm nor on the hub: take hardnet68.pth from "
            "github.com/PingoLH/Pytorch-HarDNet and give the file (weights=FILE; in bench run --weights-dir DIR), "
            "or pass --set pretrained=false"
        )
    trunk = HarDNet68()
    return trunk, load_encoder(trunk, weights) if weights is not None else None


class HarDNetMSEG(nn.Module):
    """The network; see ``build``.

    Attributes:
        dead_prefixes: How the state-dict keys begin that nothing reads; their parameters are not counted as its size.
    """

    dead_prefixes = ("ra2_", "ra3_", "ra4_", "conv2.", "conv3.", "conv4.", "conv5.", "conv6.", "hardnet.base.16.")

    def __init__(self, *, pretrained: bool, weights: str | None, drop: Iterable[str], legacy_bce: bool) -> None:
        super().__init__()
        dropped = check_drop(drop, SWITCHES, "hardnet_mseg")
        self.legacy_bce = legacy_bce
        trunk, self.weights_info = hardnet68(pretrained=pretrained, weights=weights)
        ch2, ch3, ch4 = trunk.channels
        level = PlainReduction if "receptive_field" in dropped else ReceptiveField
        if "partial_decoder" not in dropped:
            self.rfb2_1 = level(ch2)
            self.rfb3_1 = level(ch3)
        self.rfb4_1 = level(ch4)
        if "partial_decoder" in dropped:
            self.agg1: PartialDecoder | None = None
            self.head = nn.Conv2d(WIDTH, 1, 1)
        else:
            self.agg1 = PartialDecoder()
        self._add_dead(ch2, ch3, ch4)
        self.hardnet = trunk

    def _add_dead(self, ch2: int, ch3: int, ch4: int) -> None:
        """Register the units that the released network carries and never runs."""
        self.ra4_conv1 = ConvUnit(ch4, 256, 1)
        self.ra4_conv2 = ConvUnit(256, 256, 5, padding=2)
        self.ra4_conv3 = ConvUnit(256, 256, 5, padding=2)
        self.ra4_conv4 = ConvUnit(256, 256, 5, padding=2)
        self.ra4_conv5 = ConvUnit(256, 1, 1)
        for number, ch in ((3, ch3), (2, ch2)):
            self.add_module(f"ra{number}_conv1", ConvUnit(ch, 64, 1))
            self.add_module(f"ra{number}_conv2", ConvUnit(64, 64, 3, padding=1))
            self.add_module(f"ra{number}_conv3", ConvUnit(64, 64, 3, padding=1))
            self.add_module(f"ra{number}_conv4", ConvUnit(64, 1, 3, padding=1))
        self.conv2 = ConvUnit(ch2, WIDTH, 1)
        self.conv3 = ConvUnit(ch3, WIDTH, 1)
        self.conv4 = ConvUnit(ch4, WIDTH, 1)
        self.conv5 = ConvUnit(ch4, ch4, 3, padding=1)
        self.conv6 = nn.Conv2d(ch4, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            One map of logits, (B, 1, H, W).
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, "hardnet_mseg", training=self.training)
        x2, x3, x4 = self.hardnet(image)
        f4 = self.rfb4_1(x4)  # (B, 32, H/32, W/32)
        # (B, 1, H/8, W/8), or (B, 1, H/32, W/32) without the decoder
        coarse = self.head(f4) if self.agg1 is None else self.agg1(f4, self.rfb3_1(x3), self.rfb2_1(x2))
        return (resize(coarse, image.shape[-2:], align_corners=False),)

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """Structure loss, or ``criterion``.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W).
            criterion: ``(logits, mask) -> scalar``; None for the model's own loss, whose BCE is the released
                code's un-weighted one unless ``build(legacy_bce=False)``.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, "hardnet_mseg")
        if criterion is not None:
            return mean_over_maps(outputs, mask, criterion)
        return structure_loss(outputs[0], mask, legacy_bce=self.legacy_bce)


def build(
    *, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), legacy_bce: bool = True
) -> HarDNetMSEG:
    """Build HarDNet-MSEG.

    Args:
        pretrained: Start the encoder from ImageNet weights; needs ``weights``, as no hub has them.
        weights: The authors' ``hardnet68.pth``, classifier included.
        drop: Parts to leave out, names of ``SWITCHES``.
        legacy_bce: Native loss as released (True) or with the edge-weighted BCE that PraNet's paper writes (False).
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    return HarDNetMSEG(pretrained=pretrained, weights=weights, drop=drop, legacy_bce=legacy_bce)
