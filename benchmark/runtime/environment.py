"""What a result ran on: commit, versions, device. Nothing here names a user or a folder."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "numpy",
    "lightning-fabric",
    "pysodmetrics",
)


@cache
def git_state() -> tuple[str | None, bool | None]:
    """Return the commit of this source tree and whether it has uncommitted changes; (None, None) outside git."""
    here = Path(__file__).resolve().parents[1]
    try:
        if Path(_git(here, "rev-parse", "--show-toplevel")).resolve() != here.parent:
            return None, None  # installed below somebody else's repository
        commit = _git(here, "rev-parse", "HEAD")
        return commit, bool(_git(here, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def describe(device: str) -> dict[str, Any]:
    """Return the environment part of a record: commit, versions, device and its name."""
    from benchmark._version import __version__

    commit, dirty = git_state()
    return {
        "benchmark": __version__,
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "host": platform.node(),
        "device": device,
        "device_name": _device_name(device),
        "num_cores": os.cpu_count(),
        "num_threads": _num_threads(),
    }


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # nosec B603 B607 # fixed arguments, in this package's folder, by the git of the user's path
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"


def _num_threads() -> int:
    import torch

    return torch.get_num_threads()
