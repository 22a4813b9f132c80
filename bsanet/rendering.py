"""ARM, the attention rendering module: predicts the least certain points of a map a second time.

Source: paper sections 1 and 5 name it and say "draws on the optimization idea of rendering"; the recipe of training
and subdivision is that of Kirillov et al., "PointRend" (CVPR 2020), sections 3.1 and 3.2; attention among the points
of an image is our reading of the module's name.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bsanet.config import Config


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values at points.

    Args:
        maps: (B, C, h, w).
        points: (B, N, 2), x then y in 0..1 from the image's left upper corner.
    Returns:
        (B, C, N) in the maps' dtype. Places are computed in float32 at least: bf16 would move them by up to a quarter
        of a pixel at 256 px, a whole one at 1024.
    """
    wide = torch.promote_types(maps.dtype, torch.float32)
    grid = (2 * points.to(wide) - 1).unsqueeze(1)  # (B, 1, N, 2)
    found = F.grid_sample(maps.to(wide), grid, padding_mode="border", align_corners=False)
    return found.squeeze(2).to(maps.dtype)


def pixel_centres(index: Tensor, height: int, width: int) -> Tensor:
    """Flat pixel indices (B, N) of a height x width map -> points (B, N, 2)."""
    x = (index % width + 0.5) / width
    y = (torch.div(index, width, rounding_mode="floor") + 0.5) / height
    return torch.stack((x, y), dim=-1)


class PointAttention(nn.Module):
    """Pre-norm multi-head self-attention over the points of an image, with a residual. (B, N, C) -> (B, N, C)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Every point sees every other point of its image, whatever their order."""
        b, n, c = x.shape
        qkv = self.qkv(self.norm(x)).view(b, n, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, N, c/heads)
        seen = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj(seen.transpose(1, 2).reshape(b, n, c))


class ARM(nn.Module):
    """Point feature -> attention among points -> correction of the coarse logit.

    Attributes:
        kept: Buffer, 1 where predictions are corrected and 0 where the coarse map stays; validation sets it
            (`BSANet.validated_switches`). Training always corrects.
    """

    kept: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.point_width
        self.embed = nn.Linear(config.stem_width + config.reduced_width + 1, width)
        self.attention = PointAttention(width, config.point_heads)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU())
        self.last = nn.Linear(2 * width, 1)
        self.register_buffer("kept", torch.ones(()))

    def num_points(self, num_pixels: int) -> int:
        """Points predicted on a map of `num_pixels`: a fixed share, at least one, at most `max_points`."""
        return max(1, min(self.config.max_points, int(num_pixels * self.config.point_share)))

    def forward(self, points: Tensor, fine: Tensor, decoded: Tensor, coarse: Tensor) -> Tensor:
        """Logits at points.

        Args:
            points: (B, N, 2) in 0..1.
            fine: Encoder feature at stride 2, (B, stem_width, H/2, W/2).
            decoded: Decoder feature, (B, reduced_width, H/4, W/4).
            coarse: Coarse logits, (B, 1, H/4, W/4).
        Returns:
            (B, N) logits: the coarse one plus a learned correction.
        """
        at_points = sample(torch.cat((decoded, coarse), dim=1), points)  # (B, reduced + 1, N)
        return at_points[:, -1] + self._correction(sample(fine, points), at_points)

    def _correction(self, fine: Tensor, at_points: Tensor) -> Tensor:
        """What is added to the coarse logits, (B, N), from both features at the points."""
        feature = torch.cat((fine, at_points), dim=1).transpose(1, 2)
        return self.last(self.mlp(self.attention(self.embed(feature)))).squeeze(-1)

    @torch.no_grad()
    def draw(self, coarse: Tensor, num: int) -> Tensor:
        """Training points (B, num, 2): the most uncertain of an oversampled uniform draw, and uniform ones.

        Draws from torch's global generator, so `torch.manual_seed` makes a run reproducible.
        """
        batch, num_uncertain = coarse.shape[0], int(num * self.config.uncertain_share)
        candidates = torch.rand(batch, num * self.config.oversample, 2, device=coarse.device)
        certainty = sample(coarse, candidates).squeeze(1).abs()  # (B, candidates)
        index = certainty.topk(num_uncertain, dim=1, largest=False).indices
        chosen = candidates.gather(1, index.unsqueeze(-1).expand(-1, -1, 2))
        uniform = torch.rand(batch, num - num_uncertain, 2, device=coarse.device)
        return torch.cat((chosen, uniform), dim=1)

    def refine(self, fine: Tensor, decoded: Tensor, coarse: Tensor) -> Tensor:
        """Subdivide twice: double the correction, predict that of the most uncertain points again.

        Returns:
            (B, 1, H, W) logits: the up-sampled coarse ones plus the correction, which is zero before training.
        """
        change = torch.zeros_like(coarse)
        for scale in (2, 4):
            base = _enlarged(coarse, scale)
            change = _enlarged(change, 2)
            height, width = base.shape[-2:]
            num = self.num_points(height * width)
            index = (base + change).flatten(1).abs().topk(num, dim=1, largest=False, sorted=False).indices
            points = pixel_centres(index, height, width)
            correction = self._correction(sample(fine, points), sample(torch.cat((decoded, coarse), dim=1), points))
            change = change.flatten(1).scatter(1, index, correction.to(change.dtype)).view_as(base)
        return base + (change if self.training else self.kept * change)


def _enlarged(maps: Tensor, scale: int) -> Tensor:
    return F.interpolate(maps, scale_factor=scale, mode="bilinear", align_corners=False)
