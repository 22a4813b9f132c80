"""Decoder: from the deepest level upwards, each step joins the level's map and halves the stride. Ours: the
paper says "encoder-decoder U-shaped" and "integrating multi-scale features", no more."""

import torch.nn.functional as F
from torch import Tensor, nn

from bsanet.config import Config
from bsanet.encoder import ConvBlock


class Decoder(nn.Module):
    """Four maps of equal width -> one map at stride 4 and its coarse logits."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.reduced_width
        self.steps = nn.ModuleList(ConvBlock(width, width) for _ in range(3))
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Args: maps at strides 4, 8, 16, 32, (B, width, H/s, W/s). Returns: (B, width, H/4, W/4), (B, 1, H/4, W/4)."""
        x = maps[-1]
        for step, skip in zip(self.steps, reversed(maps[:-1]), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = step(x + skip)
        return x, self.head(x)
