"""From cached pixels to network input: normalisation and augmentation of whole batches, on any device.

Every random draw comes from a CPU generator that the caller seeds, so the same seed gives the same batch on
every device, and two models (or two ablation variants) see the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.data.pixels.draws import Draws, Rows, to_device
from benchmark.data.pixels.field_pieces import FIELD_PIECES

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_SCALING = {"imagenet": (IMAGENET_MEAN, IMAGENET_STD), "half": ((0.5,) * 3, (0.5,) * 3)}
_ROTATION_DEGREES = 90.0
_ZOOM_RANGE = (0.9, 1.1)
_JITTER = 0.2


def to_float(images: Tensor, masks: Tensor, *, planar: bool = False) -> tuple[Tensor, Tensor]:
    """Turn (B, S, S, 3) and (B, S, S) uint8 into (B, 3, S, S) and (B, 1, S, S) float32 in [0, 1].

    The images keep the layout of their bytes, channels last, unless they are to be ``planar``.
    """
    x = images.permute(0, 3, 1, 2)
    x = x.to(torch.float32, memory_format=torch.contiguous_format) if planar else x.float()
    return x.div_(255), masks.unsqueeze(1).float().div_(255)


def normalize(images: Tensor, how: str) -> Tensor:
    """Subtract a mean and divide by a deviation: ImageNet's (``imagenet``) or 0.5 (``half``); ``none`` does nothing."""
    if how == "none":
        return images
    constants = (torch.tensor(values, dtype=images.dtype).view(3, 1, 1) for values in _SCALING[how])
    mean, std = (to_device(values, images.device) for values in constants)
    if images.is_cuda:
        return (images - mean) / std
    # image by image, each in the processor's cache; rows of pixels at once where channels come last
    result = torch.empty_like(images)
    pairs = zip(images, result, strict=True)
    if images.permute(0, 2, 3, 1).is_contiguous():
        pairs = zip(*(t.permute(0, 2, 3, 1).flatten(2) for t in (images, result)), strict=True)
        mean, std = (values.view(3).repeat(images.shape[-1]) for values in (mean, std))
    for image, place in pairs:
        torch.sub(image, mean, out=place).div_(std)
    return result


def augment(
    images: Tensor,
    masks: Tensor,
    pieces: Sequence[str],
    *,
    crop_size: int,
    generator: torch.Generator,
    rows: Rows | None = None,
) -> tuple[Tensor, Tensor]:
    """Apply the named pieces in order, each drawn per image.

    Args:
        images: (B, 3, S, S) in [0, 1], before normalisation.
        masks: (B, 1, S, S) in [0, 1].
        pieces: Names among ``PIECES`` and ``crop``.
        crop_size: Side after ``crop``, px.
        generator: CPU generator.
        rows: Which images of a larger batch these are; unset: they are the batch.
    """
    draws = Draws(generator, rows or Rows(0, len(images), len(images)))
    for piece in pieces:
        if piece == "crop":
            images, masks = _crop(images, masks, crop_size, draws)
        else:
            images, masks = PIECES[piece](images, masks, draws)
    return images, masks


def scale_batch(
    images: Tensor, masks: Tensor, factor: float, *, align_corners: bool, nearest_masks: bool = False
) -> tuple[Tensor, Tensor]:
    """Resize a batch and its masks to the nearest multiple of 32 px of ``factor`` times its side, bilinear.

    ``nearest_masks`` takes the nearest mask pixel instead.
    """
    side = max(32, round(images.shape[-1] * factor / 32) * 32)
    if side == images.shape[-1]:
        return images, masks
    size = (side, side)
    scaled = F.interpolate(images, size, mode="bilinear", align_corners=align_corners)
    if nearest_masks:
        return scaled, F.interpolate(masks, size, mode="nearest")
    return scaled, F.interpolate(masks, size, mode="bilinear", align_corners=align_corners)


def _flip(axis: int) -> Callable[[Tensor, Tensor, Draws], tuple[Tensor, Tensor]]:
    def apply(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        coins = to_device(draws.coins(), images.device).view(-1, 1, 1, 1)
        return torch.where(coins, images.flip(axis), images), torch.where(coins, masks.flip(axis), masks)

    return apply


def _rot90(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    coins = draws.coins()
    quarters = draws.integers(4) * coins
    if images.is_cuda:
        images, masks = (quarter_turns(batch, quarters, (2, 3)) for batch in (images, masks))
        return images, masks
    turns = quarters.tolist()
    turned = [torch.rot90(torch.cat(pair), turn, (1, 2)) for *pair, turn in zip(images, masks, turns, strict=True)]
    both = torch.stack(turned)
    return both[:, :3].contiguous(), both[:, 3:].contiguous()


def quarter_turns(batch: Tensor, quarters: Tensor, dims: tuple[int, int]) -> Tensor:
    """Turn each image of a batch by its number of quarters, as ``torch.rot90`` does, in a few launches.

    Args:
        batch: (B, ...), square along ``dims``.
        quarters: (B,) whole numbers 0 to 3, on the CPU.
        dims: The two axes of the batch to turn in.
    """
    shape = (-1, *[1] * (batch.dim() - 1))
    half, odd = (to_device(on, batch.device).view(shape) for on in (quarters >= 2, quarters % 2 == 1))
    batch = torch.where(half, batch.flip(dims), batch)
    return torch.where(odd, torch.rot90(batch, 1, dims), batch)


def _rotate(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    on = draws.coins()
    return _turn_by(images, masks, torch.where(on, _draw_degrees(draws), 0.0))


def _rotate_always(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    return _turn_by(images, masks, _draw_degrees(draws))


def _draw_degrees(draws: Draws) -> Tensor:
    return (draws.uniform() * 2 - 1) * _ROTATION_DEGREES


def _turn_by(images: Tensor, masks: Tensor, degrees: Tensor) -> tuple[Tensor, Tensor]:
    count = len(images)
    radians = torch.deg2rad(degrees)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros(count)
    theta = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    return _warp(images, masks, theta, mode="nearest")


def _zoom(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    count = len(images)
    on = draws.coins()
    low, high = _ZOOM_RANGE
    factor = torch.where(on, draws.uniform() * (high - low) + low, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / factor
    images, masks = _warp(images, masks, theta, mode="bicubic")  # the authors take cubic splines
    return images.clamp(0, 1), masks.clamp(0, 1)


def _warp(images: Tensor, masks: Tensor, theta: Tensor, *, mode: str) -> tuple[Tensor, Tensor]:
    both = torch.cat([images, masks], 1)
    grid = F.affine_grid(to_device(theta.to(both.dtype), both.device), list(both.shape), align_corners=False)
    warped = F.grid_sample(both, grid, mode=mode, padding_mode="zeros", align_corners=False)
    return warped[:, :3].contiguous(), warped[:, 3:].contiguous()


def _jitter(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    factors = 1 + (draws.uniform(2) * 2 - 1) * _JITTER
    brightness, contrast = to_device(factors.to(images.dtype), images.device).reshape(2, -1, 1, 1, 1)
    mean = images.mean((1, 2, 3), keepdim=True)
    if images.is_cuda:
        return ((images - mean) * contrast + mean * brightness).clamp(0, 1), masks
    result = torch.empty_like(images)  # image by image, as in normalize: the same operations on what the cache holds
    for place, image, middle, light, factor in zip(result, images, mean, mean * brightness, contrast, strict=True):
        torch.sub(image, middle, out=place).mul_(factor).add_(light).clamp_(0, 1)
    return result, masks


def _crop(images: Tensor, masks: Tensor, side: int, draws: Draws) -> tuple[Tensor, Tensor]:
    room = images.shape[-1] - side + 1
    tops, lefts = draws.integers(room, 2).tolist()
    corners = list(zip(tops, lefts, strict=True))
    cut = [
        torch.stack([batch[i, :, top : top + side, left : left + side] for i, (top, left) in enumerate(corners)])
        for batch in (images, masks)
    ]
    return cut[0], cut[1]


PIECES: dict[str, Callable[[Tensor, Tensor, Draws], tuple[Tensor, Tensor]]] = {
    "hflip": _flip(-1),
    "vflip": _flip(-2),
    "rot90": _rot90,
    "rotate": _rotate,
    "rotate_always": _rotate_always,
    "zoom": _zoom,
    "jitter": _jitter,
    **FIELD_PIECES,
}
