"""``profile.csv``: what ``bench profile`` measured, kept beside older rows of other models, sizes and devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.store import io

_KEY = ["model", "size_px", "batch", "device", "device_name", "num_threads", "torch"]


def keep_profile(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to the file; a new value replaces the older one of the same model, size, batch and device."""
    frame = pd.DataFrame(rows)
    if file.is_file():
        frame = pd.concat([pd.read_csv(file), frame])
    # the last value of each column: training steps that were measured before are kept
    newest = frame.groupby(_KEY, sort=False, dropna=False).last().reset_index()
    io.write_text(file, newest[frame.columns].to_csv(index=False))
