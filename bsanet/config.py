"""Every number of the network in one place. What the paper states is marked [paper], the rest is our choice."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

RESNEXT50 = "resnext50_32x4d"
"""The encoder option whose first layers are ResNeXt-50 32x4d's."""
_OF_RESNEXT50 = {
    "encoder_widths": (256, 512, 320, 384),
    "encoder_inner": (128, 256, 256, 384),
    "encoder_depths": (3, 4, 2, 2),
}
"""Its shape: the first two levels are given, the last two ours, so that the sum stays within 0.5 % of the paper's."""
SWITCH_NAMES = ("isam", "fsam", "rendering", "pretraining")


@dataclass(frozen=True)
class Config:
    """Shape of a BSANet. The defaults give the network of the paper, 6.36 M parameters."""

    isam: bool = True
    """Image-space attention on each level; off: identity."""
    fsam: bool = True
    """Feature-space attention on each level; off: a 1x1 convolution that only changes the width."""
    rendering: bool = True
    """Attention rendering module; off: bilinear up-sampling of the coarse logits."""
    pretraining: bool = True
    """Swin blocks may start from ImageNet weights; off: random values. Changes no shape."""

    encoder: str = "small"
    """"small": all levels ours; "resnext50_32x4d": the stem and the first two levels of that network, which may start
    from ImageNet weights, with other widths and depths behind them."""
    stem_width: int = 64
    """Channels of the stem, at stride 2; also the rendering module's fine feature."""
    encoder_widths: tuple[int, int, int, int] = (96, 192, 320, 512)
    """Channels at strides 4, 8, 16, 32."""
    encoder_inner: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels of the grouped 3x3 convolution at each level; multiples of `groups`."""
    encoder_depths: tuple[int, int, int, int] = (1, 2, 4, 3)
    """ResNeXt blocks at each level."""
    groups: int = 32
    """Groups of the grouped convolution (the cardinality of ResNeXt)."""
    conv_std: float = 0.01
    """Standard deviation of the random values of a convolution that batch norm follows, > 0. Changes no output of the
    fresh network, but how far a step of Adam turns it: see `weights.py`."""

    width: int = 96
    """Channels of every f_i: the width of Swin-T's first stage, so that its weights fit."""
    num_blocks: int = 6
    """Swin Transformer blocks per ISAM [paper]."""
    num_heads: int = 3
    """Attention heads, as in Swin-T's first stage."""
    window: int = 8
    """Side of an attention window in tokens; divides every token grid of a 256x256 image."""
    drop_path: float = 0.0
    """Largest stochastic-depth rate of the Swin blocks, 0..1; grows linearly over the blocks."""
    isam_weight: float = 0.1
    """Initial weight of the ISAM's convolution block in its sum with the input, > 0; small, so that blocks with random
    values do not drown the encoder's features at first."""

    reduced_width: int = 48
    """Channels after the FSAM, and of the decoder."""
    context_width: int = 32
    """Channels of the FSAM's convolution and dilated convolution, from which the weights are computed."""
    context_stride: int = 2
    """Stride of the FSAM's first convolution, 1 or 2; 2 leaves dilation little to reach on images below 256 px."""
    dilation: int = 2
    """Dilation of the FSAM's second convolution [paper]."""
    squeeze: int = 24
    """Hidden units of the FSAM's fully connected layers."""

    rendering_loss: str = "map"
    """What the rendering module learns from: "map" (the loss of the refined map, gradients to the module alone),
    "network" (the same, gradients to the whole network) or "points" (BCE at drawn points, to the module alone)."""
    point_width: int = 64
    """Channels of a point inside the rendering module."""
    point_heads: int = 4
    """Heads of the attention among points."""
    point_share: float = 1 / 64
    """Points per pixel of the map they are drawn on."""
    max_points: int = 512
    """Most points that any step of the rendering module predicts."""
    oversample: int = 3
    """Training: candidates per point kept by uncertainty."""
    uncertain_share: float = 0.75
    """Training: share of the points chosen by uncertainty; the rest is uniformly random."""


def make_config(drop: Iterable[str] = (), **options: object) -> Config:
    """Config with the named parts off.

    Args:
        drop: Names out of `SWITCH_NAMES`.
        options: Fields of `Config`.
    Raises:
        ValueError: On a part or an option that does not exist, or a width that `groups` does not divide.
    """
    drop = (drop,) if isinstance(drop, str) else tuple(drop)
    unknown = [name for name in drop if name not in SWITCH_NAMES]
    if unknown:
        raise ValueError(f"cannot drop {', '.join(map(repr, unknown))}: BSANet's parts are {', '.join(SWITCH_NAMES)}")
    known = {field.name for field in fields(Config)}
    strange = sorted(set(options) - known)
    if strange:
        raise ValueError(
            f"unknown option {', '.join(map(repr, strange))} of BSANet: known are {', '.join(sorted(known))}"
        )
    if options.get("encoder") == RESNEXT50:
        options = {**_OF_RESNEXT50, **options}
    config = Config(**{**options, **dict.fromkeys(drop, False)})  # type: ignore[arg-type]
    _check(config)
    return config


def _check(config: Config) -> None:
    if config.encoder not in ("small", RESNEXT50):
        raise ValueError(f"encoder {config.encoder!r}: BSANet's are small and {RESNEXT50}")
    first = (config.stem_width, *config.encoder_widths[:2], *config.encoder_depths[:2])
    if config.encoder == RESNEXT50 and first != (64, 256, 512, 3, 4):
        raise ValueError(f"encoder {RESNEXT50}: its stem and first two levels are given; change the last two alone")
    odd = [width for width in config.encoder_inner if width % config.groups]
    if odd:
        raise ValueError(f"encoder_inner {config.encoder_inner}: each must be a multiple of groups={config.groups}")
    if config.width % config.num_heads or config.point_width % config.point_heads:
        raise ValueError("width and point_width must be multiples of their numbers of heads")
    if config.context_stride not in (1, 2):
        raise ValueError(f"context_stride {config.context_stride}: expected 1 or 2")
    if config.rendering_loss not in (losses := ("map", "network", "points")):
        raise ValueError(f"rendering_loss {config.rendering_loss!r}: expected {', '.join(losses)}")
    if not 0 <= config.drop_path < 1:
        raise ValueError(f"drop_path {config.drop_path}: expected 0 <= drop_path < 1")
    # isam_weight: its convolution block ends in a ReLU, so that a weight of zero would never receive a gradient.
    for name in ("conv_std", "isam_weight"):
        if (value := getattr(config, name)) <= 0:
            raise ValueError(f"{name} {value}: expected a number above 0")
