"""What `bench serve` is sent: pictures, DICOM objects, zips and videos of which any byte may be anything."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzzing import one_line, torn
from hypothesis import given
from hypothesis import strategies as st
from page_server import dicom, encoded, film, zipped

from benchmark.serve.inputs import Frame, open_upload

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """Sound files of each kind."""
    folder = tmp_path_factory.mktemp("films")
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("../../up.png", encoded(PIXELS))
    return {
        "DICOM": [
            dicom(PIXELS, "RGB"),
            dicom(PIXELS, "YBR_FULL"),
            dicom(np.stack([PIXELS, PIXELS]), "RGB"),
            dicom(PIXELS[..., 0], "MONOCHROME1", WindowCenter="40", WindowWidth="80"),
            dicom(PIXELS[..., 0].astype(np.uint16) * 99, "MONOCHROME2", RescaleSlope="2", RescaleIntercept="-9"),
        ],
        "zip": [
            zipped({"a/b.png": encoded(PIXELS), "c.jpg": encoded(PIXELS, "JPEG"), "d.txt": b"d"}),
            stored.getvalue(),
        ],
        "video": [(plain := film(folder / "film.mp4", [PIXELS] * 3)), film(folder / "film.avi", [PIXELS] * 3)],
        "video whose tags are no text": [plain.replace(b"Lavf", b"\xff\xfe\xfd\xfc")],
        "picture": [encoded(PIXELS), encoded(PIXELS, "WEBP")],
    }


def seen(path: Path) -> list[Frame]:
    return list(open_upload(path).frames())


@pytest.mark.parametrize("kind", ["DICOM", "zip", "video", "picture"])
@given(data=st.data())
def test_any_byte_of_an_upload_may_be_anything(
    tmp_path: Path, whole: dict[str, list[bytes]], kind: str, data: st.DataObject
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data.draw(torn(whole[kind])))
    found = one_line(lambda: seen(path), f"upload of {kind}")
    for frame in found or ():
        assert (frame.image is None) == (frame.error is not None)
        assert frame.image is None or (frame.image.dtype == np.uint8 and frame.image.shape[2:] == (3,))
    assert sorted(tmp_path.iterdir()) == [path], "nothing is left beside it, wherever a member's name points"
    assert not (tmp_path.parent.parent / "up.png").exists()


def test_whole_files_give_their_pictures(tmp_path: Path, whole: dict[str, list[bytes]]) -> None:
    """Else the above would prove nothing."""
    path, counts = tmp_path / "upload", []
    for content in (one for kind in whole.values() for one in kind):
        path.write_bytes(content)
        counts.append(sum(frame.image is not None for frame in seen(path)))
    assert counts == [1, 1, 2, 1, 1, 2, 1, 3, 3, 3, 1, 1]
