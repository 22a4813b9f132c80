"""From an uploaded file to pictures: by its bytes, not by its name; bounded in size, pixels, number and time."""

from __future__ import annotations

import io
import itertools
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.prediction.sources import IMAGES, MAX_PREDICTED, read_upright
from benchmark.serve import dicom_read

Pixels = NDArray[np.uint8]
Kind = Literal["picture", "dicom", "zip", "video"]
MAX_UPLOAD_MB = 200
MAX_FRAMES = 300
"""Frames of a video, DICOM object or zip that are predicted; of a longer video every k-th, of the others the first."""
MAX_UNPACKED_MB = 500
MAX_SECONDS = 600
"""For all pictures of one upload, the networks' time included."""


@dataclass(frozen=True)
class Frame:
    """One picture of an upload.

    Attributes:
        number: From 0, as in the file.
        name: What to call it: a name within a zip, "frame 12", or nothing.
        image: (H, W, 3) uint8 RGB, upright; None where it cannot be read.
        error: Why not.
        time_s: Seconds from a video's start.
    """

    number: int
    name: str
    image: Pixels | None
    error: str | None = None
    time_s: float | None = None


@dataclass(frozen=True)
class Upload:
    """A file that was sent, in a temporary folder.

    Attributes:
        path: Where it lies until the answer is sent.
        kind: What its first bytes say.
        count: Pictures in it, as it states.
        step: Every so many frames are predicted.
        note: What is left out, in a sentence; empty where nothing is.
    """

    path: Path
    kind: Kind
    count: int
    step: int = 1
    note: str = ""

    def frames(self) -> Iterator[Frame]:
        """Its pictures, one after the other; nothing is decoded ahead.

        Raises:
            BenchError: A picture cannot be decoded, is larger than is predicted, or time is up.
        """
        end = time.monotonic() + MAX_SECONDS
        for frame in self._decoded():
            if frame.image is not None and frame.image.shape[0] * frame.image.shape[1] > MAX_PREDICTED:
                size = f"{frame.image.shape[1]} x {frame.image.shape[0]} px"
                raise BenchError(
                    f"{frame.name}: {size}, more than the {MAX_PREDICTED // 10**6} million that are predicted"
                )
            yield frame
            if time.monotonic() > end:
                raise BenchError(
                    f"stopped after {MAX_SECONDS} s, at {frame.name or 'this picture'}; send a shorter file"
                )

    def _decoded(self) -> Iterator[Frame]:
        if self.kind == "picture":
            yield Frame(0, "", read_upright(self.path))
        elif self.kind == "dicom":
            for number in range(min(self.count, MAX_FRAMES)):
                yield Frame(number, f"frame {number + 1}", dicom_read.picture(self.path, number))
        elif self.kind == "zip":
            yield from _zipped(self.path)
        else:
            yield from _video(self.path, self.step)


def open_upload(path: Path) -> Upload:
    """Look at a file's first bytes and count its pictures; no pixel is decoded.

    Raises:
        BenchError: It is no picture, DICOM object, zip or video, or more than is accepted.
    """
    kind = _kind(path)
    if kind == "dicom":
        count = dicom_read.count_frames(path)
        return Upload(path, kind, count, note=_first(count))
    if kind == "zip":
        count = len(_members(path))
        return Upload(path, kind, count, note=_first(count))
    if kind == "video":
        from benchmark.prediction.video import count_frames

        count = count_frames(path)
        step = max(1, -(-count // MAX_FRAMES))
        note = f"{count} frames: one in {step} is shown" if step > 1 else ""
        if not count:
            note = f"the file does not state its frames: the first {MAX_FRAMES} are shown"
        return Upload(path, kind, count, step, note)
    return Upload(path, kind, 1)


def _first(count: int) -> str:
    return f"{count} pictures: the first {MAX_FRAMES} are shown" if count > MAX_FRAMES else ""


def _kind(path: Path) -> Kind:
    with path.open("rb") as file:
        head = file.read(132)
    if head[128:132] == b"DICM":
        return "dicom"
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        return "zip"
    if head[4:8] == b"ftyp" or head[:4] == b"\x1a\x45\xdf\xa3" or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "video"
    if head[:4] == b"\0\0\1\xba":
        return "video"
    return "picture"


def _members(path: Path) -> list[zipfile.ZipInfo]:
    """The pictures of a zip, by name; other members are passed over.

    Raises:
        BenchError: It is broken, encrypted, unpacks to more than is accepted, or holds no pictures.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except Exception as error:  # zipfile raises what it likes on broken bytes
        raise BenchError(f"zip: cannot be read ({' '.join(str(error).split())}); pack it again") from None
    found = [one for one in listed if Path(one.filename).suffix.lower() in IMAGES and not one.is_dir()]
    found = [one for one in found if "__MACOSX" not in one.filename and not Path(one.filename).name.startswith(".")]
    if not found:
        raise BenchError(f"zip: {len(listed)} files, none of them a picture by its suffix; expected {_suffixes()}")
    if any(one.flag_bits & 1 for one in found):
        raise BenchError("zip: its pictures are encrypted; pack them without a password")
    size = sum(one.file_size for one in found[:MAX_FRAMES])
    if size > MAX_UNPACKED_MB << 20:
        raise BenchError(f"zip: unpacks to {size >> 20} MB, more than the {MAX_UNPACKED_MB} MB that are accepted")
    return sorted(found, key=lambda one: one.filename)


def _suffixes() -> str:
    return ", ".join(sorted(IMAGES))


def _zipped(path: Path) -> Iterator[Frame]:
    """Members are written beside the zip under a number: no name of a member becomes a path."""
    with zipfile.ZipFile(path) as archive:
        for number, member in enumerate(_members(path)[:MAX_FRAMES]):
            part = path.with_name(f"member-{number}")
            try:
                part.write_bytes(_unpacked(archive, member))
                yield Frame(number, member.filename, read_upright(part))
            except Exception as error:  # zipfile and zlib raise what they like on broken bytes
                reason = " ".join(str(error).replace(f"{part} ", "").replace(f" {part}", "").split())
                yield Frame(number, member.filename, None, error=reason or "cannot be unpacked")
            finally:
                part.unlink(missing_ok=True)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Content of a member; no more than it states is read, whatever it would unpack to."""
    with archive.open(member) as file:
        content = io.BytesIO(file.read(member.file_size))
        if file.read(1):
            raise BenchError("unpacks to more than it states")
    return content.getvalue()


def _video(path: Path, step: int) -> Iterator[Frame]:
    from benchmark.prediction.video import read_frames

    for number, time_s, image in itertools.islice(read_frames(path), 0, step * MAX_FRAMES, step):
        yield Frame(number, f"frame {number + 1}", image, time_s=time_s)
