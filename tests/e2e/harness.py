"""What the end-to-end tests share: the installed executable and a recipe of seconds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

TINY = ("--set", "epochs=2", "--set", "image_size=64", "--set", "max_train_images=24", "--set", "max_test_images=4")

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


def bench_executable() -> str:
    found = Path(sys.executable).with_name("bench")
    return str(found) if found.exists() else shutil.which("bench") or "bench"
