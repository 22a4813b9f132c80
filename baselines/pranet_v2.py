"""PraNet-V2: PraNet with foreground and background heads, on PVTv2-B2 or Res2Net-50.

Paper: Hu et al., "PraNet-V2: Dual-Supervised Reverse Attention for Medical Image Segmentation", arXiv 2504.10986.
Original: github.com/ai4colonoscopy/PraNet-V2, MIT licence. No line of it is used here.
Differs: ``forward`` puts the scored map, the sum of the four foreground maps, before the original's eight maps, and
parts can be dropped for ablation. State-dict keys are the original's, so its checkpoints load strictly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.blocks import (
    Criterion,
    check_drop,
    check_image,
    check_mask,
    encode,
    res2net50,
    resize,
)
from baselines.losses import edge_weight, structure_loss, weighted_bce
from baselines.pranet_blocks import WIDTH, ConvUnit, LevelFusion, PlainReduction, ReceptiveField
from baselines.pyramid import pyramid
from baselines.weights import WeightsInfo

SWITCHES: dict[str, str] = {
    "side_branches": "the three side branches: without them the decoder's maps alone are the output "
    "(graph, output, parameters and cost change)",
    "foreground_attention": "the attention on the side branches' foreground maps, which for one class doubles them: "
    "without it they are summed as they are (graph and output change; parameters and multiply-adds do not)",
    "background": "the background heads and their half of the supervision (graph, parameters and training change; "
    "the scored map does not, cost hardly does)",
    "partial_decoder": "fusing three levels into the decoder's maps: without it they are 1x1 convolutions of the "
    "deepest level (graph, output, parameters and cost change)",
    "receptive_field": "the dilated branches before the decoder: without them each level is a 1x1 convolution, "
    "batch norm and ReLU (graph, output, parameters and cost change)",
}

BACKGROUND_WEIGHT = 0.8
DROP_PATH = 0.1

Features = tuple[Tensor, Tensor, Tensor]  # strides 8, 16, 32
Pair = tuple[Tensor, Tensor | None]  # logits of the foreground, and of the background where it has a head


@dataclass(frozen=True)
class Trunk:
    """A backbone, how its features at strides 8, 16 and 32 are had, their channels, and what was loaded into it."""

    network: nn.Module
    features: Callable[[nn.Module, Tensor], Features]
    channels: tuple[int, int, int]
    weights_info: WeightsInfo | None


class TwoMapDecoder(LevelFusion):
    """PraNet's partial decoder with a last convolution each for foreground and background."""

    def __init__(self, *, background: bool) -> None:
        super().__init__()
        self.conv5_fg = nn.Conv2d(3 * WIDTH, 1, 1)
        self.conv5_bg = nn.Conv2d(3 * WIDTH, 1, 1) if background else None

    def forward(self, f4: Tensor, f3: Tensor, f2: Tensor) -> Pair:
        """Return two logit maps (B, 1, H/8, W/8) from 32 channels at H/32, H/16 and H/8."""
        x = self.fuse(f4, f3, f2)
        return self.conv5_fg(x), None if self.conv5_bg is None else self.conv5_bg(x)


class DeepestHeads(nn.Module):
    """What stands in for ``TwoMapDecoder`` when that is dropped."""

    def __init__(self, *, background: bool) -> None:
        super().__init__()
        self.fg = nn.Conv2d(WIDTH, 1, 1)
        self.bg = nn.Conv2d(WIDTH, 1, 1) if background else None

    def forward(self, f4: Tensor) -> Pair:
        return self.fg(f4), None if self.bg is None else self.bg(f4)


class PraNetV2(nn.Module):
    """The network; see ``build``."""

    def __init__(self, name: str, trunk: Trunk, *, drop: Iterable[str], softmax: bool) -> None:
        super().__init__()
        dropped = check_drop(drop, SWITCHES, name)
        self.name = name
        self.softmax = softmax
        self.has_branches = "side_branches" not in dropped
        self.has_attention = "foreground_attention" not in dropped
        self.has_background = "background" not in dropped
        if not (softmax or self.has_background) and self.has_attention:
            raise ValueError("softmax=False: its attention reads the background maps; do not drop 'background'")
        # for images of one channel, which this package repeats instead; in the published checkpoints all the same
        self.conv = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU())
        self.backbone = trunk.network
        self.weights_info = trunk.weights_info
        self.features = trunk.features
        level = PlainReduction if "receptive_field" in dropped else ReceptiveField
        ch2, ch3, ch4 = trunk.channels
        self.has_decoder = "partial_decoder" not in dropped
        if self.has_decoder:
            self.rfb2_1 = level(ch2)
            self.rfb3_1 = level(ch3)
        self.rfb4_1 = level(ch4)
        if self.has_decoder:
            self.agg1 = TwoMapDecoder(background=self.has_background)
        else:
            self.deepest = DeepestHeads(background=self.has_background)
        if self.has_branches:
            self._add_branches(ch2, ch3, ch4)

    def _add_branches(self, ch2: int, ch3: int, ch4: int) -> None:
        self.ra4_conv1 = ConvUnit(ch4, 256, 1)
        for i in (2, 3, 4):
            self.add_module(f"ra4_conv{i}", ConvUnit(256, 256, 5, padding=2))
        self._add_heads("ra4_conv5", 256, 1)
        for number, ch in ((3, ch3), (2, ch2)):
            self.add_module(f"ra{number}_conv1", ConvUnit(ch, 64, 1))
            for i in (2, 3):
                self.add_module(f"ra{number}_conv{i}", ConvUnit(64, 64, 3, padding=1))
            self._add_heads(f"ra{number}_conv4", 64, 3)

    def _add_heads(self, prefix: str, ch: int, kernel: int) -> None:
        for kind in ("fg", "bg") if self.has_background else ("fg",):
            self.add_module(f"{prefix}_{kind}", ConvUnit(ch, 1, kernel, padding=kernel // 2))

    def _coarse(self, x2: Tensor, x3: Tensor, x4: Tensor) -> Pair:
        f4 = self.rfb4_1(x4)  # (B, 32, H/32, W/32)
        if not self.has_decoder:
            return cast(Pair, self.deepest(f4))
        return cast(Pair, self.agg1(f4, self.rfb3_1(x3), self.rfb2_1(x2)))

    def _branch(self, number: int, features: Tensor) -> Pair:
        """Return the plain foreground and background maps of a side branch."""
        last = 5 if number == 4 else 4
        z = self.get_submodule(f"ra{number}_conv1")(features)
        for i in range(2, last):
            z = F.relu(self.get_submodule(f"ra{number}_conv{i}")(z))
        prefix = f"ra{number}_conv{last}"
        bg = self.get_submodule(f"{prefix}_bg")(z) if self.has_background else None
        return self.get_submodule(f"{prefix}_fg")(z), bg

    def _attend(self, plain: Tensor, above: Pair) -> Tensor:
        """Add to a foreground map its product with the attention from the level above.

        The published attention is a softmax over classes of the difference of the maps above. With one class that is
        exactly 1 whatever they hold: the released polyp network doubles the map, and no level sees another.
        """
        if not self.has_attention:
            return plain
        if self.softmax:
            return 2 * plain
        fg, bg = (resize(cast(Tensor, m), plain.shape[-2:], align_corners=False) for m in above)
        return plain + plain * (fg - bg)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            Logits at (H, W), each (B, 1, H, W): the scored map, which is the sum of the next four; foreground f2, f3,
            f4 and the decoder's; background b2, b3, b4 and the decoder's (high where there is no polyp).
        Raises:
            ValueError: If the shape does not fit.
        """
        check_image(image, self.name, training=self.training)
        features = self.features(self.backbone, image)
        maps = [self._coarse(*features)]
        for number in (4, 3, 2) if self.has_branches else ():
            fg, bg = self._branch(number, features[number - 2])
            maps.insert(0, (self._attend(fg, maps[0]), bg))
        return self._outputs(maps, image.shape[-2:])

    @staticmethod
    def _outputs(maps: Sequence[Pair], size: Sequence[int]) -> tuple[Tensor, ...]:
        fgs = [resize(fg, size, align_corners=False) for fg, _ in maps]
        bgs = [resize(bg, size, align_corners=False) for _, bg in maps if bg is not None]
        score = fgs[0]
        for fg in fgs[1:]:
            score = score + fg
        return (score, *fgs, *bgs)

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """Sum over the levels the structure loss of the foreground and 0.8 times the background's weighted BCE.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W); the background is trained on 1 - mask, with the weights of
                the foreground's edges.
            criterion: ``(logits, mask) -> scalar``, averaged over all maps, the scored one included and the
                background ones against 1 - mask; None for the model's own loss, which leaves the sum out.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, self.name)
        count = (len(outputs) - 1) // 2 if self.has_background else len(outputs) - 1
        fgs, bgs = outputs[1 : 1 + count], outputs[1 + count :]
        if criterion is not None:
            losses = [criterion(m, mask) for m in outputs[: 1 + count]] + [criterion(m, 1 - mask) for m in bgs]
            return torch.stack(losses).mean()
        weight = edge_weight(mask)
        losses = [structure_loss(m, mask, weight=weight) for m in fgs]
        losses += [BACKGROUND_WEIGHT * weighted_bce(m, 1 - mask, weight).mean() for m in bgs]
        return torch.stack(losses).sum()


def build(
    *, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), softmax: bool = True
) -> PraNetV2:
    """Build PraNet-V2 on PVTv2-B2.

    Args:
        pretrained: Start the encoder from the published ImageNet weights.
        weights: Local ImageNet file for the encoder instead: the authors' ``pvt_v2_b2.pth`` or timm's.
        drop: Parts to leave out, names of ``SWITCHES``.
        softmax: Attention as in the released polyp network (True), where a softmax over one class makes it 1, or the
            raw difference of the maps above (False), which connects the levels.
    Raises:
        ValueError: On an unknown part, or weights that are missing or do not fit.
    """
    check_drop(drop, SWITCHES, "pranet_v2")
    network, info = pyramid("pvt_v2_b2", drop_path_rate=DROP_PATH, pretrained=pretrained, weights=weights)
    trunk = Trunk(network, _last_three, (128, 320, 512), info)
    return PraNetV2("pranet_v2", trunk, drop=drop, softmax=softmax)


def build_res2net(
    *, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), softmax: bool = True
) -> PraNetV2:
    """Build PraNet-V2 on Res2Net-50 v1b.

    Args:
        pretrained: Start the encoder from timm's ImageNet weights.
        weights: Local ImageNet file for the encoder instead, ``fc`` included.
        drop: As for ``build``.
        softmax: As for ``build``.
    Raises:
        ValueError: As ``build``.
    """
    check_drop(drop, SWITCHES, "pranet_v2_res2net")
    # the classifier never runs, but it is in the published checkpoints
    network, info = res2net50(num_classes=1000, pretrained=pretrained, weights=weights)
    trunk = Trunk(network, encode, (512, 1024, 2048), info)
    return PraNetV2("pranet_v2_res2net", trunk, drop=drop, softmax=softmax)


def _last_three(network: nn.Module, image: Tensor) -> Features:
    _, x2, x3, x4 = network(image)  # stage 1 is not used
    return x2, x3, x4
