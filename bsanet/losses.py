"""The network's own loss. The paper states none: ours is BCE + Dice on the map and BCE at the rendered points."""

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
    """Loss of the map, plus those of the rendered points and of the refined map where the outputs hold them.

    Args:
        outputs: `BSANet.forward`'s result: (map,) or (map, point logits (B, 1, 1, N), points (B, N, 2)[, refined map]).
        mask: Ground truth in 0..1, (B, 1, H, W). A map of another size is resized to the mask's.
        criterion: Used for the map and for the points alike; None: `bce_dice` and BCE.
    Returns:
        Scalar, the parts with equal weight.
    Raises:
        ValueError: If the mask is not (B, 1, H, W) with the map's batch size.
    """
    logits = outputs[0]
    if mask.dim() != 4 or mask.shape[1] != 1 or mask.shape[0] != logits.shape[0]:
        raise ValueError(f"mask {tuple(mask.shape)}: expected ({logits.shape[0]}, 1, H, W), as the map's batch")
    mask = mask.to(logits.device, torch.float32)
    logits = logits.float()  # sums over a map overflow in half precision
    if logits.shape[-2:] != mask.shape[-2:]:
        logits = F.interpolate(logits, size=mask.shape[-2:], mode="bilinear", align_corners=False)
    total = (criterion or bce_dice)(logits, mask)
    if len(outputs) >= 3:
        point_logits, points = outputs[1].float(), outputs[2]
        target = sample(mask, points).unsqueeze(2)  # (B, 1, 1, N)
        total = total + (criterion or F.binary_cross_entropy_with_logits)(point_logits, target)
    if len(outputs) == 4:
        refined = F.interpolate(outputs[3].float(), size=mask.shape[-2:], mode="bilinear", align_corners=False)
        total = total + (criterion or bce_dice)(refined, mask)
    return total
