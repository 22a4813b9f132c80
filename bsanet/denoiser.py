"""An attention denoiser: the paper's abstract promises one, its text describes none; built from the parts that it has.

Everything but the ISAM is our choice: the image is cut into 4x4 patches (pixel unshuffle), embedded by a 3x3
convolution, passed through residual groups that are ISAMs (Swin blocks, a convolution block, a shortcut), and the noise
found is subtracted from the image. The width is Swin-T's first stage's, so that its weights fit, as in BSANet.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bsanet.attention import ISAM
from bsanet.config import make_config
from bsanet.weights import initialise, load_swin

PATCH = 4
_EPSILON = 1e-6


class AttentionDenoiser(nn.Module):
    """Image less the noise that Swin blocks in residual groups find in it.

    Args:
        num_groups: Residual groups.
        num_blocks: Swin blocks per group; regular and shifted windows in turn.
    """

    def __init__(self, *, num_groups: int = 2, num_blocks: int = 2) -> None:
        super().__init__()
        config = make_config(num_blocks=num_blocks, isam_weight=1.0)
        self.embed = nn.Conv2d(3 * PATCH**2, config.width, 3, padding=1)
        self.isam = nn.ModuleList(ISAM(config) for _ in range(num_groups))
        self.join = nn.Conv2d(config.width, config.width, 3, padding=1)
        self.noise = nn.Conv2d(config.width, 3 * PATCH**2, 3, padding=1)
        self.weights_info: dict[str, str] = {}

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """(B, 3, H, W) in [0, 1] -> the same shape, not clipped; any size of at least 4x4."""
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % PATCH, 0, -height % PATCH), mode="replicate")
        shallow = self.embed(F.pixel_unshuffle(padded, PATCH))  # (B, width, H/4, W/4)
        deep = shallow
        for group in self.isam:
            deep = group(deep)
        noise = F.pixel_shuffle(self.noise(self.join(deep) + shallow), PATCH)  # (B, 3, H, W)
        return (image - noise[..., :height, :width],)

    def loss(self, outputs: tuple[Tensor, ...], clean: Tensor) -> Tensor:
        """Charbonnier loss, mean over batch, channels and pixels; scalar >= 0, in units of full scale."""
        return (outputs[0].float() - clean.float()).square().add(_EPSILON).sqrt().mean()


def build(*, pretrained: bool = False, weights: str | None = None, **options: Any) -> AttentionDenoiser:
    """An attention denoiser that starts as the identity.

    Args:
        pretrained: Fill the Swin blocks with Swin-T's ImageNet weights.
        weights: Where they are: a file or a folder; None: the local hub cache, then the hub.
        options: ``num_groups``, ``num_blocks``.
    Raises:
        ValueError: The weights cannot be had or do not fit.
    """
    model = AttentionDenoiser(**options)
    initialise(model, torch.initial_seed(), conv_std=make_config().conv_std)
    nn.init.zeros_(model.noise.weight)
    if pretrained or weights is not None:
        model.weights_info = load_swin(model.isam, weights)
    return model
