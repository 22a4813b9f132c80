"""Finding a file of Swin-T's ImageNet weights, in a folder, the local hub cache or the hub, and reading it.

A machine without a network must learn at once that it has no weights: the hub's own client would retry for the
better part of a minute, so its address is tried first, with a short bound.
"""

import hashlib
import os
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

MODEL = "swin_tiny_patch4_window7_224"
REPO = f"timm/{MODEL}.ms_in1k"
_REPOS = {MODEL: REPO, "resnext50_32x4d": "timm/resnext50_32x4d.a1h_in1k"}
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_PROBE_S = 0.7


def find_weights(weights: str | None, model: str = MODEL) -> tuple[Path, dict[str, str]]:
    """The file to read, and what a record says about it.

    Args:
        weights: File, folder, or None for the hub.
        model: Whose weights, by timm's name.
    Raises:
        ValueError: If there is none; within a second.
    """
    if weights is None:
        path, name = _from_hub(_REPOS[model]), _REPOS[model]
    else:
        path = _in_folder(Path(weights), model) if Path(weights).is_dir() else Path(weights)
        name = path.name
    if not path.is_file():
        raise ValueError(f"weights {str(weights)!r}: no such file or folder; {_how_to_get(_REPOS[model])}")
    with path.open("rb") as file:
        return path, {"name": name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def read_tensors(path: Path, key: str | None = None) -> Mapping[str, Tensor]:
    """Tensors of a .safetensors or `torch.save` file, unwrapped from "model" or "state_dict".

    Args:
        path: Local file.
        key: Where in the file they are instead, parts separated by dots.
    Raises:
        ValueError: If the file is missing, unreadable, or no mapping of names to plain tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path}: cannot be read as weights ({' '.join(str(error).split())[:200]})") from error
    for part in key.split(".") if key else ():
        if not isinstance(content, Mapping) or part not in content:
            raise ValueError(f"{path}: no {key!r} in it")
        content = content[part]
    for name in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"{path}: expected a mapping of names to tensors")
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    strange = [name for name, value in tensors.items() if value.layout != torch.strided or value.is_complex()]
    if strange:
        raise ValueError(f"{path}: {strange[0]} is sparse or complex; expected plain real tensors")
    return tensors


def _in_folder(folder: Path, model: str) -> Path:
    """The file in a weights folder that is named after the model."""
    found = sorted(path for path in folder.iterdir() if path.name.startswith(model) and path.suffix in _SUFFIXES)
    if not found:
        raise ValueError(
            f"weights folder {folder}: no {model}*.safetensors or .pth in it; {_how_to_get(_REPOS[model])}"
        )
    return found[0]


def _from_hub(repo: str) -> Path:
    """The hub's file, from the local cache or, where the hub answers, downloaded."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    for name in _HUB_FILES:
        cached = try_to_load_from_cache(repo, name)
        if isinstance(cached, str):
            return Path(cached)
    if constants.HF_HUB_OFFLINE or not _answers(f"{constants.ENDPOINT}/{repo}/resolve/main/{_HUB_FILES[0]}"):
        raise ValueError(f"ImageNet weights {repo}: not in the local hub cache and no hub to ask; {_how_to_get(repo)}")
    try:
        return Path(hf_hub_download(repo, _HUB_FILES[0]))  # nosec B615 # tensors only; the record names their SHA-256
    except Exception as error:
        raise ValueError(f"ImageNet weights {repo}: download failed ({error}); {_how_to_get(repo)}") from error


def _answers(url: str) -> bool:
    """Whether the address answers within the bound, name look-up included (which has no time limit of its own)."""
    ok = threading.Event()

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=_PROBE_S).close()  # nosec B310 # the hub client's own address
            ok.set()
        except OSError:
            pass

    threading.Thread(target=ask, daemon=True).start()
    return ok.wait(_PROBE_S)


def _how_to_get(repo: str) -> str:
    cache, name = os.environ.get("HF_HOME", "~/.cache/huggingface"), "bsanet" if repo == REPO else "resnext50_32x4d"
    return (
        f"run `hf download {repo} model.safetensors` where there is a network (it lands below {cache}), give the file "
        f"(weights=FILE; in bench run --weights-dir DIR with DIR/{name}.safetensors), or pass --set pretrained=false"
    )
