"""What the end-to-end tests share: the installed executable and a recipe of seconds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


def bench_executable() -> str:
    found = Path(sys.executable).with_name("bench")
    return str(found) if found.exists() else shutil.which("bench") or "bench"
