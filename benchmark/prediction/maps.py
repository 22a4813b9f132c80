"""From a network to 8-bit probability maps at each mask's own size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.config import Recipe
from benchmark.data.pixels import transforms
from benchmark.errors import BenchError
from benchmark.runtime.compute import resolve
from benchmark.store.io import explain_os_errors, temporary_beside

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@torch.no_grad()
def predict_maps(model: nn.Module, recipe: Recipe, images: Tensor, fabric: Fabric) -> Tensor:
    """Probability maps at network size: (B, S, S, 3) uint8 -> (B, S, S) float32 in [0, 1]."""
    model.eval()
    x = _network_input(recipe, images, fabric)
    with fabric.autocast():
        logits = first_map(model(x))
    return logits.float().sigmoid().squeeze(1)


@torch.no_grad()
def predict_at(
    model: nn.Module, recipe: Recipe, images: Tensor, sizes: list[tuple[int, int]], fabric: Fabric
) -> list[np.ndarray]:
    """Probability maps at each mask's own size.

    Args:
        model: Network; its ``logits_at(image, size)`` is used where it has one, otherwise item 0 of its outputs is
            resized (bilinear, align_corners false).
        recipe: Gives normalisation and test-time processing.
        images: (B, S, S, 3) uint8 at network size.
        sizes: (height, width) per image, px.
        fabric: For device and precision.
    Returns:
        One (height, width) uint8 array per image: round(255 * probability).
    """
    probs, finite = _predict_each(model, recipe, images, sizes, fabric)
    maps = [(prob * 255).round().to(torch.uint8).to("cpu", non_blocking=True) for prob in probs]
    _check_finite(finite)  # the only wait for the device; the copies are done then, too
    return [one.numpy() for one in maps]


@torch.no_grad()
def probabilities_at(
    model: nn.Module, recipe: Recipe, images: Tensor, sizes: list[tuple[int, int]], fabric: Fabric
) -> list[Tensor]:
    """Probabilities at each mask's own size, before they are rounded to 8 bits; arguments as for ``predict_at``.

    Returns:
        One (height, width) float32 tensor in [0, 1] per image, on the device.
    Raises:
        BenchError: The network's output is not a number.
    """
    probs, finite = _predict_each(model, recipe, images, sizes, fabric)
    _check_finite(finite)
    return probs


def _predict_each(
    model: nn.Module, recipe: Recipe, images: Tensor, sizes: list[tuple[int, int]], fabric: Fabric
) -> tuple[list[Tensor], list[Tensor]]:
    """Probabilities of each image, and whether they are numbers; both still on the device."""
    model.eval()
    x = _network_input(recipe, images, fabric)
    own = getattr(model, "logits_at", None)
    with fabric.autocast():
        logits = None if own is not None else first_map(model(x)).float()
    maps: list[Tensor] = []
    finite: list[Tensor] = []
    for i, size in enumerate(sizes):
        if own is not None:
            with fabric.autocast():
                one = own(x[i : i + 1], size).float()
        else:
            assert logits is not None
            before = logits[i : i + 1].sigmoid() if recipe.postprocess == "resize_prob" else logits[i : i + 1]
            one = F.interpolate(before, size, mode="bilinear", align_corners=False)
        prob = one[0, 0] if recipe.postprocess == "resize_prob" else postprocess(one[0, 0], recipe.postprocess)
        finite.append(torch.isfinite(prob).all())
        maps.append(prob)
    return maps, finite


def _check_finite(finite: list[Tensor]) -> None:
    if finite and not torch.stack(finite).all():
        raise BenchError("the network's output for a test image is not finite: its weights have diverged")


def postprocess(logits: Tensor, how: str) -> Tensor:
    """Turn the (H, W) logits of one image into probabilities in [0, 1].

    Args:
        logits: Raw scores.
        how: ``none`` (sigmoid), ``minmax`` (sigmoid, then stretched to [0, 1], as PraNet's test script),
            ``minmax_floor`` (the same, then down to a multiple of 1/255, as PraNet-V2 does) or ``pcs`` (SANet: positive
            scores divided by the share of positive pixels, negative ones by that of negative pixels; then sigmoid).
    """
    if how == "pcs":
        positive, negative = logits > 0, logits < 0
        share_up, share_down = positive.float().mean(), negative.float().mean()
        logits = torch.where(positive & (share_up > 0), logits / share_up, logits)
        logits = torch.where(negative & (share_down > 0), logits / share_down, logits)
    prob = logits.sigmoid()
    if how in ("minmax", "minmax_floor"):
        prob = (prob - prob.min()) / (prob.max() - prob.min() + 1e-8)
    if how == "minmax_floor":
        prob = (prob * 255).floor() / 255
    return prob


def first_map(outputs: Any) -> Tensor:
    """The scored map, (B, 1, H, W) logits: item 0 of a tuple, or the tensor itself."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


def save_map(path: Path, prob: np.ndarray) -> None:
    """Write an (H, W) uint8 map as PNG, atomically."""
    from PIL import Image

    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        try:
            Image.fromarray(prob, mode="L").save(temporary, format="PNG", compress_level=1)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _network_input(recipe: Recipe, images: Tensor, fabric: Fabric) -> Tensor:
    images = images.to(fabric.device)
    x = images.permute(0, 3, 1, 2).float().div_(255)
    x = transforms.normalize(x, recipe.normalize)
    return x.to(memory_format=torch.channels_last) if resolve(recipe, fabric.device).channels_last else x
