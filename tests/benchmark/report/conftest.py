"""Records as ``run.json`` holds them, made by hand for the report's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pytest

MODELS = ("unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet")
KEYS = made_results.KEYS
MakeRecord = Callable[..., dict[str, Any]]


@pytest.fixture
def make_record() -> MakeRecord:
    """Return a function that makes one valid record; ``tests`` maps a test set to its mDSC or to all its scores."""
    return made_results.make_record


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a results folder: records with per-image rows whose means they hold."""

    def make(*arguments: Any, folder: str = "results", **options: Any) -> Path:
        return made_results.write_results(tmp_path / folder, *arguments, **options)

    return make
