"""BSANet, the bilateral spatial attention network for medical image segmentation: the assembly of its parts.

Source: Journal of Computer Science and Software Applications 4(6), 2024, sections 3 and 4. We know of no original
code; README.md of this package maps each sentence to its line and marks each choice of ours.
"""

import copy
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bsanet.attention import FSAM, ISAM
from bsanet.config import RESNEXT50, Config, make_config
from bsanet.decoder import Decoder
from bsanet.encoder import Encoder
from bsanet.losses import Criterion, bsanet_loss
from bsanet.rendering import ARM
from bsanet.resnext import ResNeXt50Encoder, load_resnext
from bsanet.weights import check_variant, initialise, load_swin

SWITCHES: dict[str, str] = {
    "isam": "Image-space attention (six Swin Transformer blocks per level); off: identity.",
    "fsam": "Feature-space attention (channel weights from a dilated context); off: a 1x1 convolution.",
    "rendering": "Attention rendering of uncertain points; off: bilinear up-sampling of the coarse logits.",
    "pretraining": "ImageNet weights in the Swin blocks; off: random initialisation.",
}

SWITCHABLE = ("isam", "fsam", "rendering")
"""Parts that a trained network can do without, see `BSANet.switched_off`."""

STRIDE = 32


class BSANet(nn.Module):
    """ResNeXt encoder, ISAM and FSAM on each of four levels, decoder, attention rendering.

    Attributes:
        config: What it was built with.
        weights_info: {"name", "sha256"} of the ImageNet weights in its Swin blocks; None after random values.
    """

    SWITCHES = SWITCHES

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.weights_info: dict[str, str] | None = None
        self.encoder = ResNeXt50Encoder(config) if config.encoder == RESNEXT50 else Encoder(config)
        self.isam = nn.ModuleList(ISAM(config) if config.isam else nn.Identity() for _ in range(4))
        self.fsam = nn.ModuleList(
            FSAM(config) if config.fsam else nn.Conv2d(config.width, config.reduced_width, 1) for _ in range(4)
        )
        self.decoder = Decoder(config)
        self.rendering = ARM(config) if config.rendering else None

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits.

        Args:
            image: (B, 3, H, W), normalised; H and W multiples of 32.
        Returns:
            Evaluation: (map,). Training: (map,) without rendering, else (map, refined map), or, where rendering learns
            from points, (map, point logits (B, 1, 1, N), points (B, N, 2) as x, y in 0..1). Maps are (B, 1, H, W); in
            training the first is the coarse one, up-sampled.
        Raises:
            ValueError: On another number of channels, size, dtype or device.
        """
        self._check(image)
        # Tokens are channels-last by nature: in this layout neither they nor the convolutions are copied about.
        fine, maps = self.encoder(image.contiguous(memory_format=torch.channels_last))
        maps = [fsam(isam(f)) for f, isam, fsam in zip(maps, self.isam, self.fsam, strict=True)]
        decoded, coarse = self.decoder(maps)
        if self.rendering is not None and not self.training:
            return (self.rendering.refine(fine, decoded, coarse),)
        logits = F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)
        if self.rendering is None:
            return (logits,)
        # Detached: the points are the hardest ones, and pulled the rest of the network away from the map (README).
        alone = fine.detach(), decoded.detach(), coarse.detach()
        if self.config.rendering_loss == "points":
            points = self.rendering.draw(coarse, self.rendering.num_points(logits[0].numel()))
            return logits, self.rendering(points, *alone)[:, None, None], points
        whole = self.config.rendering_loss == "network"
        return logits, self.rendering.refine(*((fine, decoded, coarse) if whole else alone))

    def loss(self, outputs: tuple[Tensor, ...], mask: Tensor, *, criterion: Criterion | None = None) -> Tensor:
        """See `bsanet.losses.bsanet_loss`."""
        return bsanet_loss(outputs, mask, criterion=criterion)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Groups that a recipe may give another learning rate: the Swin blocks, the only ones with ImageNet weights."""
        blocks = [block for isam in self.isam if isinstance(isam, ISAM) for block in isam.blocks]
        return {"swin": [parameter for block in blocks for parameter in block.parameters()]}

    def validated_switches(self) -> dict[str, Tensor]:
        """Buffers, 0 or 1, that validation sets: each part is used for prediction only if it scores higher so."""
        return {} if self.rendering is None else {"rendering": self.rendering.kept}

    def switched_off(self, parts: Iterable[str]) -> "BSANet":
        """A copy for evaluation with the same weights and without some parts.

        Args:
            parts: Of `SWITCHABLE`. ISAM becomes the identity; FSAM becomes its residual sum's shortcut, a 1x1
                convolution; rendering becomes bilinear up-sampling of the coarse logits.
        Raises:
            ValueError: On another part.
        """
        parts = (parts,) if isinstance(parts, str) else tuple(parts)
        unknown = [part for part in parts if part not in SWITCHABLE]
        if unknown:
            raise ValueError(f"cannot switch off {', '.join(map(repr, unknown))}: {', '.join(SWITCHABLE)} can be")
        off = copy.deepcopy(self).eval()
        if "isam" in parts:
            off.isam = nn.ModuleList(nn.Identity() for _ in off.isam)
        if "fsam" in parts:
            off.fsam = nn.ModuleList(fsam.shortcut if isinstance(fsam, FSAM) else fsam for fsam in off.fsam)
        if "rendering" in parts:
            off.rendering = None
        return off

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """As torch's, but another variant's tensors are refused with the switches that differ."""
        if strict:
            check_variant(self.config, state_dict)
        if self.rendering is not None and "rendering.embed.weight" in state_dict:  # files from before validation chose
            state_dict = {"rendering.kept": torch.ones(()), **state_dict}
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def _check(self, image: Tensor) -> None:
        if image.dim() != 4 or image.shape[1] != 3:
            raise ValueError(
                f"image {tuple(image.shape)}: BSANet needs (B, 3, H, W); repeat a grey image's channel three times"
            )
        height, width = image.shape[-2:]
        if height % STRIDE or width % STRIDE or not height or not width:
            raise ValueError(
                f"image size {height}x{width}: BSANet needs multiples of {STRIDE}; {_nearest(height, width)}"
            )
        if not image.is_floating_point():
            raise ValueError(f"image dtype {image.dtype}: BSANet needs normalised float32; divide by 255 and normalise")
        weight = self.decoder.head.weight
        if image.device != weight.device:
            raise ValueError(f"image on {image.device}, BSANet on {weight.device}: move one to the other's device")
        if image.dtype != weight.dtype and not torch.is_autocast_enabled(image.device.type):
            raise ValueError(f"image dtype {image.dtype}, BSANet {weight.dtype}: convert the image, or use autocast")


def _nearest(height: int, width: int) -> str:
    """The multiples of 32 beside the sides that are none."""
    sides = dict.fromkeys(side for side in (height, width) if side % STRIDE or not side)
    pairs = (sorted({max(STRIDE, side - side % STRIDE), side - side % STRIDE + STRIDE}) for side in sides)
    return "; ".join("nearest are " + " and ".join(map(str, pair)) for pair in pairs)


def _load_imagenet(model: BSANet, weights: str | None) -> dict[str, str] | None:
    """Load what the network has room for; name and SHA-256 of both files where there are two."""
    info = load_swin(model.isam, weights) if model.config.isam else None
    if model.config.encoder != RESNEXT50:
        return info
    of_encoder = load_resnext(model.encoder, weights)
    if info is None:
        return of_encoder
    return {**info, "name": f"{info['name']} + {of_encoder['name']}", "encoder_sha256": of_encoder["sha256"]}


def build(*, pretrained: bool = False, weights: str | None = None, drop: Iterable[str] = (), **options: Any) -> BSANet:
    """A BSANet, initialised from torch's global generator (which advances by one draw, whatever is built).

    Args:
        pretrained: Start the Swin blocks from timm's Swin-T ImageNet weights; also the first layers of the encoder
            `resnext50_32x4d`, from that network's.
        weights: A file (.safetensors, .pth) or a folder that holds them; implies `pretrained`. None: the hub. The
            encoder's are in the same folder.
        drop: Parts to leave out, names of `SWITCHES`. "pretraining" overrules the two arguments above.
        options: Fields of `bsanet.config.Config`.
    Raises:
        ValueError: On an unknown part or option; if the weights cannot be had or do not fit.
    """
    config = make_config(drop, **options)
    seed = int(torch.randint(2**62, (1,)))
    with torch.random.fork_rng(devices=[]):
        model = BSANet(config)
    initialise(model, seed, conv_std=config.conv_std)
    if config.pretraining and (pretrained or weights):
        model.weights_info = _load_imagenet(model, weights)
    return model
