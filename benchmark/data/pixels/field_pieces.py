"""Augmentation that FCBFormer's and SSFormer's released training asks for, image by image through torchvision.

The authors of FCBFormer work on tensors, those of SSFormer on Pillow images; both are done on floats here, so grey
levels are not rounded to 8 bit between two pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from benchmark.data.pixels.draws import Draws

Piece = Callable[[Tensor, Tensor, Draws], tuple[Tensor, Tensor]]

BLUR_KERNEL_PX = 25
BLUR_SIGMA_PX = (0.001, 2.0)
JITTER = {"brightness": (0.6, 1.4), "contrast": (0.5, 1.5), "saturation": (0.75, 1.25), "hue": (-0.01, 0.01)}
TURN_DEGREES, SHEAR_DEGREES = 180.0, 22.5
SHIFT_SHARE = 0.125  # 44 px of 352
AFFINE_SCALE = (0.5, 1.5)
RESCALE = (0.75, 1.25)
NUM_WHOLE_DEGREES = 359
ENHANCE = (1.0, 1.1)
KERNELS: dict[int, Sequence[str]] = {2: ("01", "11"), 3: ("010", "111", "010"), 4: ("0010", "1111", "1111", "1111")}
"""Elliptic structuring elements by their side, px, as OpenCV draws them."""


def _between(share: Tensor, low: float, high: float) -> list[float]:
    return (low + (high - low) * share).tolist()


def _blur(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    sigmas = _between(draws.uniform(), *BLUR_SIGMA_PX)
    blurred = [
        TF.gaussian_blur(image, [BLUR_KERNEL_PX] * 2, [sigma] * 2) for image, sigma in zip(images, sigmas, strict=True)
    ]
    return torch.stack(blurred), masks


def _colour_jitter(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    factors = [_between(row, *limits) for row, limits in zip(draws.uniform(4), JITTER.values(), strict=True)]
    steps = [TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue]
    return _in_random_order(images, steps, factors, draws), masks


def _enhance(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    on = draws.uniform(3) < 0.5
    drawn = torch.tensor([_between(row, *ENHANCE) for row in draws.uniform(3)]).view_as(on)
    factors = torch.where(on, drawn, 1.0).tolist()  # a factor of 1 leaves the image unchanged
    return _in_random_order(images, [TF.adjust_contrast, TF.adjust_sharpness, TF.adjust_brightness], factors, draws), (
        masks
    )


def _in_random_order(
    images: Tensor, steps: Sequence[Callable[[Tensor, float], Tensor]], factors: Sequence[Sequence[float]], draws: Draws
) -> Tensor:
    orders = draws.uniform(len(steps)).argsort(0).T.tolist()
    changed = []
    for number, (image, order) in enumerate(zip(images, orders, strict=True)):
        for step in order:
            image = steps[step](image, factors[step][number])
        changed.append(image)
    return torch.stack(changed)


def _together(images: Tensor, masks: Tensor, changes: Sequence[Callable[[Tensor], Tensor]]) -> tuple[Tensor, Tensor]:
    """Give each image and its mask the same change, as four channels."""
    both = torch.stack([change(one) for one, change in zip(torch.cat([images, masks], 1), changes, strict=True)])
    return both[:, :3].contiguous(), both[:, 3:].contiguous()


def _affine(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    side = images.shape[-1]
    angle, shear, right, down, scale = draws.uniform(5)
    limits = ((angle, TURN_DEGREES), (shear, SHEAR_DEGREES), (right, SHIFT_SHARE * side), (down, SHIFT_SHARE * side))
    drawn = [_between(share, -most, most) for share, most in limits]
    changes = [
        partial(TF.affine, angle=a, translate=[x, y], scale=s, shear=[k, 0.0], interpolation=InterpolationMode.NEAREST)
        for a, k, x, y, s in zip(*drawn, _between(scale, *AFFINE_SCALE), strict=True)
    ]
    return _together(images, masks, changes)


def _rescale(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    side = images.shape[-1]
    factors = torch.where(draws.coins(), torch.tensor(_between(draws.uniform(), *RESCALE)), 1.0).tolist()
    return _together(images, masks, [partial(_scaled, side=side, factor=factor) for factor in factors])


def _scaled(both: Tensor, *, side: int, factor: float) -> Tensor:
    new = round(side * factor)
    if new == side:
        return both
    sized = TF.resize(both, [new, new], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return TF.center_crop(sized.clamp(0, 1), [side, side])  # pads with zeros where the image became smaller


def _rotate_whole(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    degrees = torch.where(draws.coins(), draws.integers(NUM_WHOLE_DEGREES), 0).tolist()
    return _together(images, masks, [partial(TF.rotate, angle=float(angle)) for angle in degrees])


def _mask_edge(images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    kinds, sides = draws.integers(3).tolist(), (draws.integers(3) + 2).tolist()
    changed = [
        mask if kind == 2 else spread(mask, side, erode=kind == 1)
        for mask, kind, side in zip(masks, kinds, sides, strict=True)
    ]
    return images, torch.stack(changed)


def spread(mask: Tensor, side: int, *, erode: bool = False) -> Tensor:
    """Dilate or erode a grey mask (1, H, W) by an elliptic element; pixels beyond the border are left out.

    Args:
        mask: Values in [0, 1].
        side: Of the element, one of ``KERNELS``, px; its anchor is pixel ``side // 2`` in both directions.
        erode: Take the least value under the element instead of the greatest.
    """
    sign = -1 if erode else 1
    height, width = mask.shape[-2:]
    low = side // 2
    padded = F.pad(mask * sign, (low, side, low, side), value=float("-inf"))
    shifted = [
        padded[:, row : row + height, column : column + width]
        for row, line in enumerate(KERNELS[side])
        for column, bit in enumerate(line)
        if bit == "1"
    ]
    return torch.stack(shifted).amax(0) * sign


FIELD_PIECES: dict[str, Piece] = {
    "blur": _blur,
    "colour_jitter": _colour_jitter,
    "affine": _affine,
    "rescale": _rescale,
    "rotate_whole": _rotate_whole,
    "enhance": _enhance,
    "mask_edge": _mask_edge,
}
