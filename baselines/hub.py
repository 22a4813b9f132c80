"""ImageNet files from the Hugging Face hub: out of the local cache, or over the network, or refused within a second."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def hub_file(timm_name: str) -> Path:
    """Find the ImageNet file of a timm network: in the hub's cache, or else over the network.

    Args:
        timm_name: Such as ``res2net50d`` or ``mit_b0.in1k``.
    Returns:
        Path of the file in the cache.
    Raises:
        ValueError: Within about a second, if the file is not in the cache and the hub does not answer.
    """
    config = timm_config(timm_name)
    if not config.hf_hub_id:
        raise ValueError(
            f"encoder {timm_name!r}: timm has no ImageNet weights for it on the hub; "
            "pass weights=FILE or pretrained=false"
        )
    names = [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    return hub_download(config.hf_hub_id, names)


def timm_config(timm_name: str) -> Any:
    """Return timm's record of a network's published weights and input size; an empty one if there are no weights.

    Raises:
        ValueError: If timm does not know the tag after the name's dot.
    """
    import timm
    from timm.models import PretrainedCfg

    try:
        return timm.get_pretrained_cfg(timm_name) or PretrainedCfg()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"encoder {timm_name!r}: {error}") from error


def hub_download(repo: str, names: list[str], *, revision: str | None = None) -> Path:
    """Return the first of ``names`` in a hub repository, from the cache or over the network.

    Raises:
        ValueError: As ``hub_file``.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    for name in names:
        try:
            return Path(hf_hub_download(repo, name, revision=revision, local_files_only=True))
        except (OSError, ValueError):
            continue
    reason = _why_unreachable(repo)
    if reason:
        raise ValueError(_missing_message(repo, names[0], reason))
    for name in names:
        try:
            return Path(hf_hub_download(repo, name, revision=revision))
        except EntryNotFoundError:
            continue
        except Exception as error:  # the client's own errors share no base class across its versions
            reason = f"{type(error).__name__} while downloading"
            raise ValueError(_missing_message(repo, name, reason)) from error
    raise ValueError(_missing_message(repo, names[0], "the repository holds none of " + ", ".join(names)))


def _missing_message(repo: str, name: str, reason: str) -> str:
    return (
        f"ImageNet weights {repo}/{name} are not in the local cache and cannot be fetched ({reason}): "
        f"run `hf download {repo} {name}` where there is a network, "
        "give the file (weights=FILE; in bench run --weights-dir DIR), or pass --set pretrained=false"
    )


def _why_unreachable(repo: str) -> str:
    """Return why the hub cannot be used, or an empty string; takes at most ``HF_HUB_ETAG_TIMEOUT`` or 0.8 s."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    limit_s = float(os.environ.get("HF_HUB_ETAG_TIMEOUT", "0.8"))
    outcome: list[str] = []

    def ask() -> None:
        request = urllib.request.Request(f"{constants.ENDPOINT}/api/models/{repo}", method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=limit_s):  # nosec B310 # the hub client's own address
                outcome.append("")
        except urllib.error.HTTPError as error:
            outcome.append(f"the hub answers {error.code}")
        except (OSError, ValueError) as error:
            outcome.append(f"no connection to the hub: {error}")

    # a thread, as no socket timeout bounds the look-up of a name
    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    asker.join(limit_s)
    return outcome[0] if outcome else f"the hub did not answer within {limit_s:g} s"
