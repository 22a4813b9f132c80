"""One image with its mask, and the errors for missing datasets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import BenchError

MASK_THRESHOLD = 127
"""A mask pixel is foreground where its 8-bit grey value is greater than this."""

_MAX_ID = 200
_SAFE_ID = re.compile(rf"[^\x00-\x1f\x7f-\x9f/\\\ud800-\udfff\u2028-\u202e\u2066-\u2069]{{1,{_MAX_ID}}}")

RECORD_NAME = ".bench-source.json"
"""File that ``bench data fetch`` puts into a dataset's folder: address, date, checksum, terms."""

Channels = Literal["rgb", "bgr"]

STAND_IN = Path("not-on-disk")
"""Path of the images of a dataset that is counted and not read (``data/stand_ins.py``)."""


@dataclass(frozen=True)
class Item:
    """One image and its mask, not yet read.

    Attributes:
        dataset: Dataset name, e.g. ``endoscene``.
        id: Unique in the dataset and safe as a file name, e.g. ``clinicdb-12``.
        image_path: The image file.
        mask_path: The mask file.
        group: Items of one group show the same scene (a video sequence, a cluster of duplicates).
            Group names hold across datasets: CVC-300's frames carry the groups of CVC-ColonDB's.
        part: The publisher's part ("train", "validation", "test"), "" if there is none.
        channels: Order in which the image's colours are stored.
        mask_threshold: Its mask is foreground above this grey value.
        mask_colours: Its mask is coloured, and any colour is foreground.
    """

    dataset: str
    id: str
    image_path: Path
    mask_path: Path
    group: str
    part: str = ""
    channels: Channels = "rgb"
    mask_threshold: int = MASK_THRESHOLD
    mask_colours: bool = False

    def __post_init__(self) -> None:
        """Refuse an id that cannot name the files of its map: here, not after hours of training."""
        if not _SAFE_ID.fullmatch(self.id) or self.id.strip(". ") == "":
            raise BenchError(
                f"file name {str(self.image_path)!r} gives the id {self.id!r}, which cannot name its results; expected "
                f"UTF-8, no control character or backslash, at most {_MAX_ID} characters: rename the file and its mask"
            )

    @property
    def is_stand_in(self) -> bool:
        """Whether it stands for an image of a published set that is not on disk."""
        return self.image_path == STAND_IN


class DatasetMissing(BenchError):  # noqa: N818 (reads as what it says)
    """A requested dataset that is not on disk.

    Attributes:
        dataset: Its name.
        reason: Where to get it, for records and table notes: names no folder of this machine.
    """

    def __init__(self, dataset: str, source: str, *, looked_in: Path, fetchable: bool = True, advice: str = "") -> None:
        """Name what is missing, where it was searched (in the message only) and where to get it."""
        how = f" ('bench data fetch {dataset}' downloads it or explains how)" if fetchable else ""
        self.dataset = dataset
        self.reason = f"not found; get it from {source}"
        super().__init__(
            f"dataset {dataset!r} is missing: not found below {looked_in}; get it from {source}{how}{advice}"
        )
        self._facts = {"source": source, "looked_in": looked_in, "fetchable": fetchable}

    def advised(self) -> DatasetMissing:
        """Return the same error with the option to continue without the dataset, for commands that have it."""
        facts: dict[str, Any] = self._facts
        return DatasetMissing(self.dataset, **facts, advice="; or pass --allow-missing to run the rest")


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts frame 9 before frame 10."""
    pieces = re.split(r"(\d+)", text)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in pieces if p]
