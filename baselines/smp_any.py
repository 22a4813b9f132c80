"""Any architecture of segmentation-models-pytorch with any encoder of smp or timm, behind this project's interface.

Library: github.com/qubvel-org/segmentation_models.pytorch, MIT licence; used as a dependency.
Differs: the output is a tuple, a wrong size or a wrong name is refused in words, and no weights are fetched behind
the caller's back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from baselines.blocks import Criterion, check_image, check_mask, mean_over_maps, resize
from baselines.encoders import TIMM_PREFIX, imagenet_file, load_imagenet
from baselines.losses import bce_dice
from baselines.weights import WeightsInfo

ARCHITECTURES: tuple[str, ...] = tuple(sorted(smp.MODEL_ARCHITECTURES_MAPPING))


class SmpNet(nn.Module):
    """An smp network that returns a tuple of one map. Keys of its state dict begin with ``net.``."""

    native_loss: Callable[[Tensor, Tensor], Tensor] = staticmethod(bce_dice)

    def __init__(self, arch: str, encoder: str, *, pretrained: bool, weights: str | None, **options: Any) -> None:
        super().__init__()
        self.title = f"{arch} with {encoder}"
        _check_names(arch, encoder)
        path = weights or (imagenet_file(encoder) if pretrained else None)  # first: missing weights are to fail fast
        self.net = _make(arch, encoder, options)
        self.weights_info: WeightsInfo | None = None
        if path is not None:
            self.weights_info = load_imagenet(cast(nn.Module, self.net.encoder), encoder, path)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segment.

        Args:
            image: Normalised RGB, (B, 3, H, W), sides multiples of 32.
        Returns:
            One map of logits, (B, 1, H, W).
        Raises:
            ValueError: If the shape does not fit the network, or the batch is too small for its batch norm.
        """
        check_image(image, self.title, training=self.training)
        try:
            logits = self.net(image)
        except AssertionError as error:  # encoders of a fixed input size
            raise ValueError(f"{self.title}: {error}; set the encoder's option img_size to the image's side") from error
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ValueError(
                f"one image of {image.shape[2]}x{image.shape[3]} in training: {self.title} normalises a pooled "
                "1x1 map over the batch; use a batch of two or more"
            ) from error
        return (resize(logits, image.shape[-2:], align_corners=False),)

    def loss(self, outputs: Sequence[Tensor], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """Return the native loss, or ``criterion``.

        Args:
            outputs: What ``forward`` returned.
            mask: Ground truth in [0, 1], (B, 1, H, W).
            criterion: ``(logits, mask) -> scalar``; None for the class's own, ``native_loss``.
        Returns:
            Scalar.
        """
        check_mask(outputs, mask, self.title)
        return mean_over_maps(outputs, mask, criterion or self.native_loss)


def _check_names(arch: str, encoder: str) -> None:
    if arch not in smp.MODEL_ARCHITECTURES_MAPPING:
        raise ValueError(f"architecture {arch!r}: segmentation-models-pytorch has {', '.join(ARCHITECTURES)}")
    if not encoder.startswith(TIMM_PREFIX) and encoder not in smp.encoders.encoders:
        raise ValueError(
            f"encoder {encoder!r}: unknown to segmentation-models-pytorch; for an encoder of timm write "
            f"'tu-<timm name>', such as 'tu-{encoder.removeprefix('timm-')}'"
        )


def _make(arch: str, encoder: str, options: dict[str, Any]) -> nn.Module:
    try:
        net = smp.create_model(arch, encoder, encoder_weights=None, in_channels=3, classes=1, **options)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError) as error:
        # timm and smp raise all of these for names and pairs that cannot work
        reason = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"architecture {arch!r} cannot be built with encoder {encoder!r}: {reason}") from error
    return cast(nn.Module, net)


def build(
    arch: str, *, encoder: str = "resnet34", pretrained: bool = False, weights: str | None = None, **options: Any
) -> SmpNet:
    """Build an smp network.

    Args:
        arch: One of ``ARCHITECTURES``.
        encoder: smp's name, or ``tu-<timm name>``.
        pretrained: Start the encoder from its ImageNet weights.
        weights: Local ImageNet file for the encoder instead.
        options: Handed to smp's class, and what that does not know to timm (``img_size=256``).
    Raises:
        ValueError: If the pair cannot be built, or weights are missing or do not fit.
    """
    return SmpNet(arch, encoder, pretrained=pretrained, weights=weights, **options)
