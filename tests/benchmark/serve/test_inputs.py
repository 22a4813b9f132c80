"""Bounds on what an upload may hold, beside those that tests/e2e/test_serve.py tries through the server."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import BenchError
from benchmark.serve import inputs


@pytest.fixture
def upload(tmp_path: Path) -> inputs.Upload:
    """A zip of three pictures of 8 x 6 px."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((6, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "upload", "w") as archive:
        for name in ("a.png", "b.png", "c.png"):
            archive.writestr(name, buffer.getvalue())
    return inputs.open_upload(tmp_path / "upload")


def test_a_picture_of_too_many_pixels_is_refused(upload: inputs.Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(list(upload.frames())) == 3
    monkeypatch.setattr(inputs, "MAX_PREDICTED", 47)
    with pytest.raises(BenchError, match=r"a\.png: 8 x 6 px"):
        list(upload.frames())


def test_time_is_up_for_all_pictures_together(upload: inputs.Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_SECONDS", -1)
    with pytest.raises(BenchError, match=r"at a\.png; send a shorter file"):
        list(upload.frames())


def test_more_pictures_than_are_shown_are_said(upload: inputs.Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_FRAMES", 2)
    again = inputs.open_upload(upload.path)
    assert again.count == 3 and again.note == "3 pictures: the first 2 are shown"
    assert [frame.name for frame in again.frames()] == ["a.png", "b.png"]
