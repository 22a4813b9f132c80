"""Where values come from: random initialisation, Swin-T's ImageNet weights, checkpoints of this package.

Source of the transfer: paper section 3 ("use the Swin Transformer pre-trained model in natural images") and section
4.1 ("pre-trained weights on the ImageNet dataset are used to initialize ... the Swin Transformer block").
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from zlib import crc32

import torch
from timm.layers import resize_rel_pos_bias_table
from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention
from torch import Tensor, nn

from bsanet.attention import ISAM
from bsanet.config import Config
from bsanet.hub import find_weights, read_tensors
from bsanet.rendering import ARM

_COUNTERS = ("total_ops", "total_params")  # thop leaves them in every module that it counted
_PART_KEYS = {"isam": "isam.0.conv.0.weight", "fsam": "fsam.0.conv.0.weight", "rendering": "rendering.embed.weight"}
"""A tensor that is there exactly when the part is on."""


def initialise(model: nn.Module, seed: int, *, conv_std: float) -> None:
    """Random values that depend on the seed and the tensor's name alone.

    A convolution that batch norm follows starts with one small deviation, whatever its fan-in. Its scale changes no
    output, only what a step of training does: Adam moves each weight by about the learning rate, so weights of
    Kaiming's size, 0.05 to 0.33 here where fans are small, would turn several times slower than a wide network's.

    So two variants built under one seed share the values of every part that both have, and an ablation compares
    the parts, not two draws.
    """
    for name, module in model.named_modules():
        generator = torch.Generator().manual_seed((seed + crc32(name.encode())) % 2**63)
        _draw(module, generator, in_swin=".blocks." in name, conv_std=conv_std)
    for module in model.modules():
        if isinstance(module, ISAM):
            nn.init.constant_(module.conv.norm.weight, module.weight)
        elif isinstance(module, ARM):
            nn.init.zeros_(module.last.weight)  # rendering starts as "leave the coarse logit"


def _draw(module: nn.Module, generator: torch.Generator, *, in_swin: bool, conv_std: float) -> None:
    if isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02, generator=generator)
    elif isinstance(module, nn.Conv2d) and module.bias is None:  # batch norm follows
        nn.init.normal_(module.weight, std=conv_std, generator=generator)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
    elif isinstance(module, nn.Linear) and in_swin:
        nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight, generator=generator)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def load_swin(blocks: Iterable[nn.Module], weights: str | None) -> dict[str, str]:
    """Fill every ISAM's blocks from the two blocks of Swin-T's first stage, in turn: 0, 1, 0, 1, 0, 1.

    Args:
        blocks: The network's ISAMs.
        weights: File or folder; None: the local hub cache, then the hub.
    Returns:
        {"name": of the file or hub entry, "sha256": of the file}.
    Raises:
        ValueError: If the weights cannot be had, or a tensor is missing or has a shape that does not fit.
    """
    path, info = find_weights(weights)
    tensors = read_tensors(path)
    for isam in blocks:
        assert isinstance(isam, ISAM)
        for j, block in enumerate(isam.blocks):
            assert isinstance(block, SwinTransformerBlock)
            _fill(block, tensors, f"layers.0.blocks.{j % 2}.", path)
    return info


def _fill(block: SwinTransformerBlock, tensors: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Copy the block's tensors; the relative-position table goes through timm's resize, 7x7 -> 8x8 windows."""
    filled = {}
    for name, own in block.state_dict().items():
        source = tensors.get(prefix + name)
        if source is None:
            raise ValueError(f"{path}: no tensor {prefix + name!r}; expected timm's swin_tiny_patch4_window7_224")
        if name.endswith("relative_position_bias_table") and source.shape != own.shape:
            source = resize_rel_pos_bias_table(source.float(), block.window_size, tuple(own.shape))
        if source.shape != own.shape:
            raise ValueError(
                f"{path}: {prefix + name} is {tuple(source.shape)}, BSANet needs {tuple(own.shape)}; "
                "expected timm's swin_tiny_patch4_window7_224"
            )
        filled[name] = source
    block.load_state_dict(filled)


def check_variant(config: Config, state: Mapping[str, Tensor]) -> None:
    """Refuse the tensors of a variant with other parts.

    Raises:
        ValueError: Naming the switches that differ and the `drop` that fits the checkpoint.
    """
    differ = [name for name, key in _PART_KEYS.items() if (key in state) != getattr(config, name)]
    if differ:
        there = ", ".join(f"{name} is {'on' if _PART_KEYS[name] in state else 'off'}" for name in differ)
        dropped = tuple(name for name, key in _PART_KEYS.items() if key not in state)
        raise ValueError(f"checkpoint of another BSANet variant: there {there}; build it with drop={dropped}")


def load_checkpoint(
    model: nn.Module,
    path: str | Path,
    *,
    key: str | None = None,
    strip_prefix: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Load a state dict saved by `torch.save` (bare, or below "model" or "state_dict") or as .safetensors.

    Args:
        model: Takes the weights in place.
        path: Local file.
        key: Where in the file the state dict is, parts separated by dots.
        strip_prefix: Take the keys that begin so, without it; None: a wrapper's name before every key is taken off.
        say: Receives a line on what was stripped.
    Raises:
        ValueError: If the file cannot be read, belongs to another variant, or its shapes differ.
    """
    path = Path(path)
    state = read_tensors(path, key)
    if strip_prefix is None and (strip_prefix := _wrapper(model, state)):
        say(f"{path.name}: took the keys below {strip_prefix!r}")
    if strip_prefix:
        state = {name[len(strip_prefix) :]: value for name, value in state.items() if name.startswith(strip_prefix)}
    state, notes = _forgiven(model.state_dict(), state)
    for note in notes:
        say(f"{path.name}: {note}")
    try:
        model.load_state_dict(state)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())[:300]}") from error


def _forgiven(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Leave the counters of thop and fill in those of batch norm that files of old torch lack; say so."""
    notes = []
    counters = [name for name in state if name not in own and name.rpartition(".")[2] in _COUNTERS]
    kept = {name: value for name, value in state.items() if name not in counters}
    absent = [name for name in own if name not in kept]
    if counters:
        notes.append(f"left {len(counters)} counters of thop ({counters[0]}, ...)")
    if absent and all(name.endswith("num_batches_tracked") for name in absent):
        kept |= {name: torch.zeros_like(own[name]) for name in absent}
        notes.append("has no num_batches_tracked, as files of old torch; set to 0")
    return kept, notes


def _wrapper(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    """What stands before every key of a wrapped model, such as `module.` or `model.`; empty where nothing does."""
    prefix, own = "", next(iter(model.state_dict()))
    while f"{prefix}{own}" not in state:
        heads = {name[len(prefix) :].partition(".")[0] for name in state}
        if len(heads) != 1 or all("." not in name[len(prefix) :] for name in state):
            return ""
        prefix += f"{heads.pop()}."
    return prefix
