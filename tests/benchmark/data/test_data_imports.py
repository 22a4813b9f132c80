"""Listing and splitting data must not load torch, nor decoders before a file is read."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys
import benchmark.data.listing.datasets
print(sorted({"torch", "PIL", "tifffile", "platformdirs"} & sys.modules.keys()))
import benchmark.data.pixels.cache, benchmark.data.audit.check, benchmark.data.splits.choose
print(sorted({"torch", "PIL", "tifffile", "platformdirs"} & sys.modules.keys()))
"""


def test_nothing_heavy_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], text=True, capture_output=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
