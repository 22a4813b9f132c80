"""The network's own loss. The paper states none: ours is BCE + Dice on the coarse and on the refined map."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bsanet.rendering import sample

Criterion = Callable[[Tensor, Tensor], Tensor]


def bce_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean binary cross-entropy plus (1 - Dice), Dice per image with one pixel of smoothing.

    Args:
        logits: (B, 1, H, W).
        mask: (B, 1, H, W) in 0..1.
    Returns:
        Scalar >= 0, lower is better.
    """
    prob = torch.sigmoid(logits)
    overlap = (prob * mask).flatten(1).sum(1)
    total = prob.flatten(1).sum(1) + mask.flatten(1).sum(1)
    dice = (2 * overlap + 1) / (total + 1)
    return F.binary_cross_entropy_with_logits(logits, mask) + (1 - dice).mean()


def bsanet_loss(outputs: tuple[Tensor, ...], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
    """Loss of the map, plus that of the refined map or of the rendered points where the outputs hold them.

    Args:
        outputs: `BSANet.forward`'s result: (map,), (map, refined map) or (map, point logits (B, 1, 1, N), points (B, N,
            2)).
        mask: Ground truth in 0..1, (B, 1, H, W). A map of another size is resized to the mask's.
        criterion: Used for maps and points alike; None: `bce_dice` for maps, BCE for points.
    Returns:
        Scalar, the parts with equal weight.
    Raises:
        ValueError: If the mask is not (B, 1, H, W) with the map's batch size.
    """
    batch = outputs[0].shape[0]
    if mask.dim() != 4 or mask.shape[1] != 1 or mask.shape[0] != batch:
        raise ValueError(f"mask {tuple(mask.shape)}: expected ({batch}, 1, H, W), as the map's batch")
    mask = mask.to(outputs[0].device, torch.float32)
    maps = outputs if len(outputs) < 3 else outputs[:1]
    total = torch.stack([(criterion or bce_dice)(_fitted(one, mask), mask) for one in maps]).sum()
    if len(outputs) < 3:
        return total
    point_logits, points = outputs[1].float(), outputs[2]
    target = sample(mask, points).unsqueeze(2)  # (B, 1, 1, N)
    return total + (criterion or F.binary_cross_entropy_with_logits)(point_logits, target)


def _fitted(logits: Tensor, mask: Tensor) -> Tensor:
    """The logits in float32, since sums over a map overflow in half precision, at the mask's size."""
    logits = logits.float()
    if logits.shape[-2:] == mask.shape[-2:]:
        return logits
    return F.interpolate(logits, size=mask.shape[-2:], mode="bilinear", align_corners=False)
