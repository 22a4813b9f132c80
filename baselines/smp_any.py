"""Any architecture of segmentation-models-pytorch with any encoder of smp or timm, behind this project's interface.

Library: github.com/qubvel-org/segmentation_models.pytorch, MIT licence; used as a dependency.
Differs: the output is a tuple, a wrong size or a wrong name is refused in words, and no weights are fetched behind
the caller's back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, cast

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from baselines.blocks import Criterion, check_image, check_mask, mean_over_maps, resize
from baselines.encoders import TIMM_PREFIX, free_size_options, imagenet_file, is_fixed_size, load_imagenet, resolve
from baselines.losses import bce_dice
from baselines.weights import WeightsInfo

ARCHITECTURES: tuple[str, ...] = tuple(sorted(smp.MODEL_ARCHITECTURES_MAPPING))


class SmpNet(nn.Module):
    """An smp network that returns a tuple of one map. Keys of its state dict begin with ``net.``."""

    native_loss: Callable[[Tensor, Tensor], Tensor] = staticmethod(bce_dice)

    def __init__(self, arch: str, encoder: str, *, pretrained: bool, weights: str | None, **options: Any) -> None:
        super().__init__()
        if arch not in smp.MODEL_ARCHITECTURES_MAPPING:
            raise ValueError(f"architecture {arch!r}: segmentation-models-pytorch has {', '.join(ARCHITECTURES)}")
        encoder = resolve(encoder)
        self.title = f"{arch} with {encoder}"
        self.fixed_size = is_fixed_size(encoder)
        if self.fixed_size and "img_size" not in options:
            options = free_size_options(encoder) | options
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
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:
            said = self._explain(error, f"{image.shape[2]}x{image.shape[3]}")
            if not said:
                raise
            raise ValueError(said) from error
        return (resize(logits, image.shape[-2:], align_corners=False),)

    def _explain(self, error: Exception, size: str) -> str:
        """Say in the user's terms why a batch did not go through, or return an empty string."""
        if "more than 1 value per channel" in str(error):
            return (
                f"one image of {size} in training: {self.title} normalises a pooled 1x1 map over the batch; "
                "use a batch of two or more"
            )
        if "is too small" in str(error):
            return f"image size {size}: too small for {self.title}; use a larger image"
        if self.fixed_size and not isinstance(error, torch.OutOfMemoryError):
            return (
                f"image size {size}: {self.title} has a fixed input size; set its option img_size to the image's side"
            )
        return ""

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


def _make(arch: str, encoder: str, options: dict[str, Any]) -> nn.Module:
    known = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[arch].__init__).parameters
    unknown = sorted(set(options) - set(known))
    if unknown and not encoder.startswith(TIMM_PREFIX):  # smp would drop them unseen; timm looks at its own
        raise ValueError(
            f"option {unknown[0]!r}: unknown to {arch}; its options are "
            f"{', '.join(name for name in known if name.startswith(('decoder_', 'encoder_depth')))}"
        )
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
