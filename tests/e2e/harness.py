"""What the end-to-end tests share: the installed executable and a recipe of seconds."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from preloaded import Forked

TINY = ("--set", "epochs=2", "--set", "image_size=64", "--set", "max_train_images=24", "--set", "max_test_images=4")

NET = '''
import torch
from torch import nn

class TinyNet(nn.Module):
    """Four layers: enough to learn bright blobs, small enough for a test."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 1, 1))

    def forward(self, image):
        return (nn.functional.interpolate(self.body(image), image.shape[-2:], mode="bilinear"),)

def build():
    return TinyNet()
'''

PARTS = """
from torch import nn

SWITCHES = {"wide": "the second layer"}

class Net(nn.Module):
    def __init__(self, drop):
        super().__init__()
        more = [] if "wide" in drop else [nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU()]
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), *more, nn.Conv2d(8, 1, 1))

    def forward(self, image):
        return (self.body(image),)

def build(drop=()):
    return Net(drop)
"""

Bench = Callable[..., "subprocess.CompletedProcess[str]"]
Process = Forked | subprocess.Popen[str]
StartBench = Callable[..., Process]


def bench_executable() -> str:
    found = Path(sys.executable).with_name("bench")
    return str(found) if found.exists() else shutil.which("bench") or "bench"


def outcome(results: Path) -> dict[str, str]:
    """What a study found, file by file: history, weights, scores and curves, without times of day."""
    found = {}
    for record in sorted((results / "runs").rglob("run.json")):
        folder = record.parent
        rows = pd.read_parquet(folder / "scores.parquet")
        with np.load(folder / "curves.npz") as curves:
            sums = b"".join(curves[key].tobytes() for key in sorted(curves.files))
        maps = b"".join(path.read_bytes() for path in sorted(folder.rglob("*.png")))
        parts = [(folder / "history.csv").read_bytes(), (folder / "best.pt").read_bytes(), sums, maps]
        parts.append(rows.to_csv(index=False).encode())
        found[str(folder.relative_to(results))] = " ".join(hashlib.sha256(part).hexdigest()[:12] for part in parts)
    return found


def until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
