"""The encoder whose first layers are ResNeXt-50 32x4d's, so that it may start from ImageNet weights. Ours: the paper
names ResNeXt, but of ImageNet weights the Swin blocks' only.

Source: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks" (CVPR 2017); the layers are timm's.
"""

from pathlib import Path

import timm
from torch import nn

from bsanet.config import RESNEXT50, Config
from bsanet.encoder import Encoder
from bsanet.hub import find_weights, read_tensors

_PLACES = {"conv1.": "stem.0.", "bn1.": "stem.1.", "layer1.": "levels.0.", "layer2.": "levels.1."}
"""Where the tensors of timm's network are in the encoder."""


class ResNeXt50Encoder(Encoder):
    """As `Encoder`, with the stem and the levels at strides 4 and 8 of ResNeXt-50 32x4d (1.41 M parameters)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        whole = timm.create_model(RESNEXT50, pretrained=False, zero_init_last=False)
        part = dict(whole.named_children())
        self.stem = nn.Sequential(part["conv1"], part["bn1"], part["act1"])
        self.levels[0], self.levels[1] = part["layer1"], part["layer2"]


def load_resnext(encoder: Encoder, weights: str | None) -> dict[str, str]:
    """Fill the encoder's first layers from ResNeXt-50's ImageNet weights.

    Args:
        encoder: A `ResNeXt50Encoder`.
        weights: A folder, or a file, beside which the encoder's file is; None: the local hub cache, then the hub.
    Returns:
        {"name": of the file or hub entry, "sha256": of the file}.
    Raises:
        ValueError: If the weights cannot be had, or a tensor is missing or has a shape that does not fit.
    """
    folder = weights if weights is None or Path(weights).is_dir() else str(Path(weights).parent)
    path, info = find_weights(folder, RESNEXT50)
    tensors = read_tensors(path)
    own = encoder.state_dict()
    filled = {}
    for name, value in tensors.items():
        place = next((name.replace(head, there, 1) for head, there in _PLACES.items() if name.startswith(head)), None)
        if place is None:
            continue
        if place not in own or own[place].shape != value.shape:
            raise ValueError(f"{path}: {name} {tuple(value.shape)} does not fit; expected timm's {RESNEXT50}")
        filled[place] = value
    wanted = [name for name in own if name.startswith(tuple(_PLACES.values())) and "num_batches_tracked" not in name]
    if lacking := [name for name in wanted if name not in filled]:
        raise ValueError(f"{path}: no tensor for {lacking[0]!r}; expected timm's {RESNEXT50}")
    encoder.load_state_dict(filled, strict=False)
    return info
