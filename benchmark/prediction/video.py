"""Read a video frame by frame and write others of the same frame rate and frame count. PyAV, an extra."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.prediction.outputs import Kind
from benchmark.store.io import FULL

Pixels = NDArray[np.uint8]
Frame = tuple[int, int | None, Pixels]
"""Number from 0, time stamp in the stream's units, (H, W, 3) RGB."""

SUFFIX: dict[Kind, str] = {"masks": ".mkv", "probs": ".mkv", "overlays": ".mp4"}
"""Masks and maps are lossless (FFV1 in Matroska); overlays are H.264."""


class OutputError(BenchError):
    """The outputs cannot be written; the input is not to blame."""


def need_pyav() -> Any:
    """Import PyAV.

    Raises:
        BenchError: It is not installed.
    """
    try:
        import av
    except ImportError:
        raise BenchError("video files need PyAV: python -m pip install 'polyp-bench[video]' (or: av)") from None
    return av


def count_frames(path: Path) -> int:
    """Number of frames that the file states; 0 if it states none.

    Raises:
        BenchError: It is not a readable video, or its frames are stored rotated.
    """
    av = need_pyav()
    try:
        with av.open(str(path), metadata_errors="replace") as file:
            if not file.streams.video:
                raise BenchError(f"video {path}: contains no frames")
            turned = next(iter(file.decode(video=0))).rotation
            if turned:
                raise BenchError(
                    f"video {path}: stored rotated by {turned} degrees; save it upright first (ffmpeg -i IN OUT does)"
                )
            return int(file.streams.video[0].frames)
    except (av.FFmpegError, OSError, StopIteration) as error:
        raise BenchError(f"cannot read video {path}: {_reason(error)}") from None


def convert(
    path: Path,
    targets: dict[Kind, Path],
    work: Callable[[list[Frame]], list[dict[Kind, Pixels]]],
    *,
    batch: int,
) -> tuple[int, float]:
    """Turn a video into others, a batch of frames at a time; either all are complete or none is written.

    Args:
        path: The video.
        targets: Where each kind goes.
        work: From frames to the pictures of each kind.
        batch: Frames at once.
    Returns:
        Number of frames, and seconds per unit of their time stamps.
    Raises:
        BenchError: The video is truncated or changes its size, or the outputs cannot be written.
    """
    av = need_pyav()
    parts = {kind: target.with_name(f".{target.stem}.part{target.suffix}") for kind, target in targets.items()}
    number = 0
    try:
        with ExitStack() as stack:
            source = stack.enter_context(av.open(str(path), metadata_errors="replace"))
            stream = source.streams.video[0]
            writers = {}
            for kind, part in parts.items():
                part.parent.mkdir(parents=True, exist_ok=True)
                writers[kind] = stack.enter_context(_Writer(av, part, stream, kind))
            for frames in _batches(source, stream, batch):
                for (_, stamp, _), pictures in zip(frames, work(frames), strict=True):
                    for kind, writer in writers.items():
                        writer.add(pictures[kind], stamp)
                number += len(frames)
            tick = float(stream.time_base)
        for kind, target in targets.items():
            parts[kind].replace(target)
    except (av.FFmpegError, OSError) as error:
        if error.errno in FULL | {errno.EACCES, errno.EROFS, errno.EIO}:
            raise OutputError(f"cannot write {next(iter(parts.values())).parent}: {_reason(error)}") from error
        raise BenchError(f"video {path}: {_reason(error)} after {number} frames; nothing was written") from None
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return number, tick


def read_frames(path: Path) -> Iterator[tuple[int, float | None, Pixels]]:
    """Decode a video frame by frame: number from 0, seconds from its start, (H, W, 3) RGB.

    Raises:
        BenchError: It breaks off.
    """
    av = need_pyav()
    number = 0
    try:
        with av.open(str(path), metadata_errors="replace") as file:
            for frame in file.decode(video=0):
                yield number, frame.time, frame.to_ndarray(format="rgb24")
                number += 1
    except (av.FFmpegError, OSError) as error:
        raise BenchError(f"video {path}: {_reason(error)} after {number} frames") from None


def _batches(source: Any, stream: Any, size: int) -> Iterator[list[Frame]]:
    decoded = enumerate(source.decode(stream))
    while chunk := list(itertools.islice(decoded, size)):
        yield [(number, frame.pts, frame.to_ndarray(format="rgb24")) for number, frame in chunk]


class _Writer:
    """One output video; it takes over the input's rate and time stamps."""

    def __init__(self, av: Any, path: Path, source: Any, kind: Kind) -> None:
        self._av, self._path, self._source, self._kind = av, path, source, kind

    def __enter__(self) -> _Writer:
        self._file = self._av.open(str(self._path), mode="w")
        rate = self._rate = self._source.average_rate or self._source.guessed_rate
        self._added = 0
        codec = "libx264" if self._kind == "overlays" else "ffv1"
        self._stream = self._file.add_stream(codec, rate=rate)
        width, height = self._source.codec_context.width, self._source.codec_context.height
        self._stream.width, self._stream.height = width, height
        even = width % 2 == 0 and height % 2 == 0
        self._stream.pix_fmt = "gray" if codec == "ffv1" else "yuv420p" if even else "yuv444p"
        if codec == "libx264":
            self._stream.options = {"crf": "18"}
        self._stream.codec_context.time_base = self._source.time_base
        return self

    def add(self, pixels: Pixels, stamp: int | None) -> None:
        height, width = pixels.shape[:2]
        if (width, height) != (self._stream.width, self._stream.height):
            raise BenchError(f"video changes its size to {width}x{height} midway; cut it into videos of one size")
        frame = self._av.VideoFrame.from_ndarray(pixels, format="gray" if pixels.ndim == 2 else "rgb24")
        if stamp is None:  # some AVI files have none: assume the stated frame rate
            stamp = round(self._added / (self._rate * self._source.time_base))
        self._added += 1
        frame.pts, frame.time_base = stamp, self._source.time_base
        for packet in self._stream.encode(frame):
            self._file.mux(packet)

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                for packet in self._stream.encode():
                    self._file.mux(packet)
        finally:
            self._file.close()


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
