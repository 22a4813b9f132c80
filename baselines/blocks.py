"""What several of the networks share: the checks at the door, the Res2Net trunk, and the loss over several maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import timm
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.hub import hub_file
from baselines.weights import WeightsInfo, load_encoder

Criterion = Callable[[Tensor, Tensor], Tensor]

STRIDE = 32  # every encoder here halves the image five times


def nearest_multiples(side: int, multiple: int = STRIDE) -> tuple[int, int]:
    """Return the nearest allowed sides at or below and above ``side`` (pixels); never zero."""
    low = max(multiple, side // multiple * multiple)
    return low, low + multiple


def check_image(image: Tensor, model: str, *, training: bool = False) -> None:
    """Refuse an image batch that the network cannot take, before any layer runs.

    Only shapes are looked at, so the check costs nothing on a GPU and a compiled graph keeps it as a guard.
    Values are not: a NaN in an image comes out as NaN in that image's logits and in the loss.

    Args:
        image: Normalised RGB images, (B, 3, H, W) float.
        model: Name for the message.
        training: Whether batch norm is about to use the batch's own statistics.
    Raises:
        ValueError: If the shape is not (B, 3, H, W), a side is no multiple of 32, or one image of 32 x 32 is
            to be trained on (batch norm would see a single value per channel at stride 32).
    """
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(
            f"image batch of shape {tuple(image.shape)}: {model} needs RGB images (B, 3, H, W); "
            "repeat a grey image three times along dim 1"
        )
    height, width = int(image.shape[2]), int(image.shape[3])
    for side in (height, width):
        if side % STRIDE or side == 0:
            low, high = nearest_multiples(side)
            raise ValueError(
                f"image size {height}x{width}: {model} needs multiples of {STRIDE}; "
                f"nearest to {side} are {low} and {high}"
            )
    if training and image.shape[0] * height * width == STRIDE * STRIDE:
        raise ValueError(
            f"one image of {height}x{width} in training: batch norm of {model} would see one value per channel; "
            "use a batch of two, a larger image, or eval()"
        )


def check_mask(outputs: Sequence[Tensor], mask: Tensor, model: str) -> None:
    """Refuse a mask that does not fit the scored map.

    Args:
        outputs: What ``forward`` returned; item 0 is (B, 1, H, W).
        mask: Ground truth in [0, 1], (B, 1, H, W).
        model: Name for the message.
    Raises:
        ValueError: If the two shapes differ.
    """
    if outputs[0].shape != mask.shape:
        raise ValueError(
            f"mask of shape {tuple(mask.shape)}: {model}'s map is {tuple(outputs[0].shape)}; "
            "give image and mask the same size, the mask with one channel"
        )


def check_drop(drop: Iterable[str], switches: Mapping[str, str], model: str) -> frozenset[str]:
    """Return the dropped parts as a set.

    Raises:
        ValueError: If a name is not among the model's switches.
    """
    dropped = frozenset((drop,) if isinstance(drop, str) else drop)
    unknown = sorted(dropped - set(switches))
    if unknown:
        raise ValueError(f"cannot drop {', '.join(unknown)} from {model}: its switches are {', '.join(switches)}")
    return dropped


def resize(x: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """Resize (B, C, H, W) to ``size`` = (height, width) in pixels, bilinear, no antialias."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)


def double(x: Tensor, *, align_corners: bool) -> Tensor:
    """Double both sides of (B, C, H, W), bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=align_corners)


def mean_over_maps(outputs: Sequence[Tensor], mask: Tensor, criterion: Criterion) -> Tensor:
    """Average a map loss over all maps, so that its scale does not depend on how many maps a model has.

    Args:
        outputs: Logits, item 0 (B, 1, H, W), the others at any size; each is resized to the mask's size.
        mask: Ground truth in [0, 1], (B, 1, H, W).
        criterion: ``(logits, mask) -> scalar``.
    Returns:
        Scalar.
    """
    size = mask.shape[-2:]
    losses = [criterion(resize(logits, size, align_corners=False), mask) for logits in outputs]
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total / len(losses)


def res2net50(
    *, num_classes: int, pretrained: bool = False, weights: str | None = None
) -> tuple[nn.Module, WeightsInfo | None]:
    """Build Res2Net-50 v1b 26w4s (timm's ``res2net50d``) with the published initialisation.

    Args:
        num_classes: 1000 keeps the classifier ``fc``, 0 leaves it out.
        pretrained: Load timm's ImageNet weights (from the hub's cache, or over the network).
        weights: Local file with ImageNet weights instead: the authors' ``.pth`` or timm's ``.safetensors``.
    Returns:
        The trunk (modules conv1, bn1, layer1..layer4 and perhaps fc), and what was loaded into it.
    Raises:
        ValueError: If the weights cannot be had, or do not fit.
    Source: Gao et al., Res2Net, TPAMI 2021; ImageNet weights expect RGB with ImageNet mean and std.
    """
    return _res2net("res2net50d", num_classes, pretrained, weights)


def res2net101(
    *, num_classes: int, pretrained: bool = False, weights: str | None = None
) -> tuple[nn.Module, WeightsInfo | None]:
    """Build Res2Net-101 v1b 26w4s (timm's ``res2net101d``): as ``res2net50`` with 23 blocks in layer3.

    The authors' ImageNet file is ``res2net101_v1b_26w_4s-0812c246.pth``.
    """
    return _res2net("res2net101d", num_classes, pretrained, weights)


def _res2net(
    timm_name: str, num_classes: int, pretrained: bool, weights: str | None
) -> tuple[nn.Module, WeightsInfo | None]:
    path = weights or (hub_file(timm_name) if pretrained else None)  # first: missing weights are to fail fast
    # timm zeroes the last BN weight of each block by default; the authors start all of them at one
    trunk = timm.create_model(timm_name, pretrained=False, num_classes=num_classes, zero_init_last=False)
    if path is None:
        return trunk, None
    return trunk, load_encoder(trunk, path, ignore=("fc.",) if num_classes == 0 else ())


def encode(trunk: Any, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run a Res2Net trunk.

    Args:
        trunk: What ``res2net50`` built.
        image: (B, 3, H, W).
    Returns:
        layer2 (B, 512, H/8, W/8), layer3 (B, 1024, H/16, W/16), layer4 (B, 2048, H/32, W/32).
    """
    x = trunk.act1(trunk.bn1(trunk.conv1(image)))  # (B, 64, H/2, W/2)
    x = trunk.layer1(trunk.maxpool(x))  # (B, 256, H/4, W/4)
    x2 = trunk.layer2(x)
    x3 = trunk.layer3(x2)
    return x2, x3, trunk.layer4(x3)
