"""Environment of a result: commit, versions, device. Nothing here names a user or a folder."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmark.runtime.source_tree import source_state

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "numpy",
    "lightning-fabric",
    "pysodmetrics",
)


def describe(device: str) -> dict[str, Any]:
    """Return the environment part of a record: commit, versions, device and its name."""
    from benchmark._version import __version__

    source = source_state()
    return {
        "benchmark": __version__,
        "commit": source.commit,
        "commit_state": source.state,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in _PACKAGES},
        "host": platform.node(),
        "device": device,
        "device_name": _device_name(device),
        "num_cores": os.cpu_count(),
        "num_threads": _num_threads(),
    }


def version(package: str) -> str | None:
    """Return the version of an installed package; None where it is not."""
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
