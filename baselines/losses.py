"""Losses that more than one model uses: logits in, a scalar without unit out, computed in float32 or better."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE_WINDOW_PX = 31
EDGE_GAIN = 5.0


def wide(x: Tensor) -> Tensor:
    """Return ``x`` in float32 at least: half precision widened, float64 kept."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def bce(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross entropy, mean over batch and pixels.

    Args:
        logits: Raw scores, (B, 1, H, W).
        mask: Ground truth in [0, 1], (B, 1, H, W).
    Returns:
        Scalar >= 0.
    """
    return F.binary_cross_entropy_with_logits(wide(logits), wide(mask))


def probability_bce(logits: Tensor, mask: Tensor) -> Tensor:
    """BCE computed from float32 probabilities, as LDNet and FCBFormer do: equal to ``bce`` until a probability
    rounds to 0 or 1 (a logit of about 17); from there the logarithm is held at -100 and the gradient is zero.

    Args:
        logits: Raw scores, (B, 1, H, W).
        mask: Ground truth in [0, 1], (B, 1, H, W).
    Returns:
        Scalar in [0, 100].
    """
    with torch.autocast(logits.device.type, enabled=False):  # torch refuses this loss under autocast
        return F.binary_cross_entropy(wide(logits).sigmoid(), wide(mask))


def dice(logits: Tensor, mask: Tensor, *, smooth_top: float = 1.0, smooth_bottom: float = 1.0) -> Tensor:
    """Soft Dice loss per image, 1 - (2 S(pG) + top) / (S(p) + S(G) + bottom), mean over images.

    Args:
        logits: Raw scores, (B, 1, H, W); p = sigmoid(logits).
        mask: Ground truth G in [0, 1], (B, 1, H, W).
        smooth_top: Constant of the numerator; with 0 an empty mask costs 1 however good the map is.
        smooth_bottom: Constant of the denominator, > 0.
    Returns:
        Scalar in [0, 1]; with ``smooth_top`` above ``smooth_bottom`` it can be negative.
    """
    prob, mask = wide(logits).sigmoid(), wide(mask)
    inter = (prob * mask).sum((1, 2, 3))
    total = prob.sum((1, 2, 3)) + mask.sum((1, 2, 3))
    return (1 - (2 * inter + smooth_top) / (total + smooth_bottom)).mean()


def bce_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """BCE plus soft Dice with 1 in numerator and denominator, equal weights.

    Args:
        logits: Raw scores, (B, 1, H, W).
        mask: Ground truth in [0, 1], (B, 1, H, W).
    Returns:
        Scalar >= 0.
    """
    return bce(logits, mask) + dice(logits, mask)


def edge_weight(mask: Tensor) -> Tensor:
    """Weigh pixels by how much their neighbourhood differs from them: 1 + 5 |mean over 31 x 31 - G|.

    Args:
        mask: Ground truth G in [0, 1], (B, 1, H, W). Beyond the border it counts as 0.
    Returns:
        (B, 1, H, W), in [1, 6].
    Source: PraNet (MICCAI 2020), section 3.3, after F3Net.
    """
    mask, k = wide(mask), EDGE_WINDOW_PX
    # one row of the window, then one column: the same mean for 62 instead of 961 additions a pixel
    mean = F.avg_pool2d(mask, (1, k), stride=1, padding=(0, k // 2))
    mean = F.avg_pool2d(mean, (k, 1), stride=1, padding=(k // 2, 0))
    return 1 + EDGE_GAIN * (mean - mask).abs()


def weighted_bce(logits: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Binary cross entropy of each image weighted per pixel: S(w * bce) / S(w).

    Args:
        logits: Raw scores, (B, 1, H, W).
        mask: Ground truth in [0, 1], (B, 1, H, W).
        weight: Weight w >= 0 of each pixel, (B, 1, H, W), such as ``edge_weight(mask)``.
    Returns:
        (B,), >= 0.
    """
    pixel = F.binary_cross_entropy_with_logits(wide(logits), wide(mask), reduction="none")
    dims = (1, 2, 3)
    return (weight * pixel).sum(dims) / weight.sum(dims)


def structure_loss(logits: Tensor, mask: Tensor, *, legacy_bce: bool = False, weight: Tensor | None = None) -> Tensor:
    """Edge-weighted BCE plus edge-weighted IoU, averaged over the batch.

    Args:
        logits: Raw scores, (B, 1, H, W).
        mask: Ground truth in [0, 1], (B, 1, H, W).
        legacy_bce: Average the BCE before weighting, as the released training code does: the weights then
            cancel, and the term is the plain mean over batch and pixels.
        weight: ``edge_weight(mask)``, if already computed.
    Returns:
        Scalar >= 0, unitless.
    Raises:
        ValueError: If the two sizes differ.
    Source: PraNet (MICCAI 2020), section 3.3.
    """
    if logits.shape != mask.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and mask {tuple(mask.shape)}: need the same shape")
    logits, mask = wide(logits), wide(mask)
    weight = edge_weight(mask) if weight is None else weight
    dims = (1, 2, 3)
    cross = bce(logits, mask) if legacy_bce else weighted_bce(logits, mask, weight)
    prob = logits.sigmoid()
    inter = (weight * prob * mask).sum(dims)
    union = (weight * (prob + mask)).sum(dims) - inter
    return (cross + 1 - (inter + 1) / (union + 1)).mean()


def summed_structure_loss(maps: Sequence[Tensor], mask: Tensor, *, legacy_bce: bool = False) -> Tensor:
    """Sum ``structure_loss`` over several maps of one mask, whose edge weights are computed once.

    Args:
        maps: Raw scores, each (B, 1, H, W).
        mask: Ground truth in [0, 1], (B, 1, H, W).
        legacy_bce: See ``structure_loss``.
    Returns:
        Scalar >= 0.
    """
    weight = edge_weight(mask)
    return torch.stack([structure_loss(m, mask, legacy_bce=legacy_bce, weight=weight) for m in maps]).sum()
