"""Predict images in batches and videos frame by frame; each output file is complete or absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.parallel import ahead
from benchmark.errors import BenchError
from benchmark.prediction import outputs, video
from benchmark.prediction.network import Network
from benchmark.prediction.outputs import Kind
from benchmark.prediction.sources import Source, orientation, read_upright
from benchmark.prediction.video import OutputError

Pixels = NDArray[np.uint8]


@dataclass
class Job:
    """What to write where.

    Attributes:
        network: Predicts.
        out: Folder of ``masks/``, ``probs/``, ``overlays/`` and ``predictions.csv``.
        kinds: What is written beside the CSV.
        threshold: A pixel is polyp where its probability is above.
        batch: Images or frames per batch.
        say: Receives warnings. tell: Receives the number of images and frames done, and in all.
        rows: One per image and frame, in order.
    """

    network: Network
    out: Path
    kinds: Sequence[Kind]
    threshold: float
    batch: int
    say: Callable[[str], None]
    tell: Callable[[int, int], None]
    rows: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0


def predict_all(job: Job, sources: Sequence[Source]) -> int:
    """Predict every source; one that cannot be read is reported, gets a row with the error and stops nothing.

    Returns:
        How many could not be read.
    Raises:
        BenchError: PyAV is missing, or the outputs cannot be written.
        KeyboardInterrupt: Stopped; the CSV holds the rows so far.
    """
    images = [source for source in sources if not source.is_video]
    videos = [source for source in sources if source.is_video]
    if videos:
        video.need_pyav()
    job.total = len(images)
    faults = 0
    try:
        counts = {source: _try(job, source, partial(video.count_frames, source.path)) for source in videos}
        faults += sum(count is None for count in counts.values())
        job.total += sum(count or 0 for count in counts.values())
        for start in range(0, len(images), job.batch):
            faults += _images(job, images[start : start + job.batch])
        for source, count in counts.items():
            if count is not None:
                faults += _try(job, source, partial(_video, job, source, count)) is None
    finally:
        outputs.write_rows(job.out / "predictions.csv", job.rows)
    return faults


def _try(job: Job, source: Source, read: Callable[[], Any]) -> Any:
    """Return the result of reading, or None after recording the error."""
    kept = len(job.rows)
    try:
        return read()
    except BenchError as error:
        if isinstance(error, OutputError):
            raise
        del job.rows[kept:]
        job.rows.append({"input": str(source.path), "name": source.name, "error": str(error)})
        job.say(f"skipped: {error}")
        return None


def _images(job: Job, part: Sequence[Source]) -> int:
    """One batch of images; returns how many could not be read."""
    pixels = [_try(job, source, partial(read_upright, source.path)) for source in part]
    good = [(source, image) for source, image in zip(part, pixels, strict=True) if image is not None]
    for source, _ in good:
        if orientation(source.path) != 1:
            job.say(f"{source.path}: rotated upright by its EXIF tag; so are its mask and map")
    maps = job.network.maps([image for _, image in good]) if good else []
    job.rows += ahead(partial(_write, job), ((*one, prob) for one, prob in zip(good, maps, strict=True)))
    job.tell(len(job.rows), job.total)
    return len(part) - len(good)


def _write(job: Job, one: tuple[Source, Pixels, Pixels]) -> dict[str, Any]:
    """Write an image's pictures and return its row; called from several threads."""
    source, image, prob = one
    mask = outputs.cut(prob, job.threshold)
    for kind in job.kinds:
        outputs.write_png(job.out / kind / f"{source.name}.png", outputs.picture(kind, image, prob, mask))
    return {"input": str(source.path), "name": source.name, **outputs.figures(prob, mask)}


def _video(job: Job, source: Source, stated: int) -> bool:
    first = len(job.rows)
    targets = {kind: job.out / kind / f"{source.name}{video.SUFFIX[kind]}" for kind in job.kinds}
    count, tick = video.convert(source.path, targets, partial(_frames, job, source), batch=job.batch)
    if count < stated:
        job.say(f"{source.path}: {count} of {stated} frames could be read")
    for row in job.rows[first:]:
        row["time_s"] = None if row["time_s"] is None else round(row["time_s"] * tick, 6)
    return True


def _frames(job: Job, source: Source, frames: list[video.Frame]) -> list[dict[Kind, Pixels]]:
    """The pictures of some frames; their rows hold time stamps until the stream's unit is known."""
    pictures: list[dict[Kind, Pixels]] = []
    maps = job.network.maps([image for _, _, image in frames])
    for (number, stamp, image), prob in zip(frames, maps, strict=True):
        mask = outputs.cut(prob, job.threshold)
        pictures.append({kind: outputs.picture(kind, image, prob, mask) for kind in job.kinds})
        row = {"input": str(source.path), "name": source.name, "frame": number, "time_s": stamp}
        job.rows.append({**row, **outputs.figures(prob, mask)})
    job.tell(len(job.rows), max(job.total, len(job.rows)))
    return pictures
