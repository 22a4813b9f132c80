"""Images, masks and maps of a results folder, if its datasets are on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmark.data.files.decode import decode_image
from benchmark.data.files.hashing import fingerprint
from benchmark.data.listing.datasets import list_dataset
from benchmark.data.listing.items import MASK_THRESHOLD
from benchmark.data.pixels.cache import load_pair
from benchmark.errors import BenchError
from benchmark.metrics import get_protocol
from benchmark.report.figures.evidence import Evidence, Member

if TYPE_CHECKING:
    from benchmark.data.listing.items import Item

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pictures:
    """Finds the images of a test set and checks that they are the ones that were scored.

    Attributes:
        evidence: The records.
        data_root: Folder with the datasets; None for BENCH_DATA_ROOT. Phantom needs none.
        cache_dir: Where phantom images are drawn; None for the user's cache folder.
    """

    evidence: Evidence
    data_root: Path | None = None
    cache_dir: Path | None = None
    _items: dict[str, dict[str, Item]] = field(default_factory=dict, repr=False, compare=False)

    def items(self, dataset: str) -> Mapping[str, Item]:
        """The images that were scored, by id.

        Raises:
            BenchError: They are not on disk, or differ from those that were scored.
        """
        if dataset not in self._items:
            ids = set(map(str, self.evidence.images(dataset).index))
            try:
                found = {i.id: i for i in list_dataset(dataset, self.data_root, cache_dir=self.cache_dir)}
            except BenchError as error:
                raise BenchError(f"images of {dataset} are not on disk ({error})") from None
            chosen = {key: item for key, item in found.items() if key in ids}
            scored = self.evidence.members(dataset)[0].records[0].tests[dataset].fingerprint
            if len(chosen) < len(ids) or fingerprint(chosen.values()) != scored:
                raise BenchError(f"images of {dataset} in the data root are not the ones that were scored")
            self._items[dataset] = chosen
        return self._items[dataset]

    def pair(self, dataset: str, image_id: str) -> tuple[Pixels, Mask]:
        """Image (H, W, 3) and mask (H, W)."""
        image, grey = load_pair(self.items(dataset)[image_id])
        return image, grey > MASK_THRESHOLD

    def with_maps(self, dataset: str) -> list[Member]:
        """Return the models whose maps are all in the results folder.

        Raises:
            BenchError: There is none.
        """
        ids = list(map(str, self.evidence.images(dataset).index))
        found = [m for m in self.evidence.members(dataset) if all(self.path(m, dataset, i).is_file() for i in ids)]
        if not found:
            raise BenchError(f"no maps of {dataset} below {self.evidence.results}: they were moved or deleted")
        return found

    def path(self, member: Member, dataset: str, image_id: str) -> Path:
        """Return the path of a map of a model's first seed."""
        return self.evidence.paths(member.records[0]).map(dataset, image_id)

    def map(self, member: Member, dataset: str, image_id: str) -> Pixels:
        """The probability map of the first seed, (H, W), 255 x probability."""
        return decode_image(self.path(member, dataset, image_id))[..., 0]  # grey: three equal channels


def stretches(protocol: str) -> bool:
    """Return whether a protocol stretches each map to [0, 1] before thresholding; False for an unknown one."""
    try:
        return get_protocol(protocol).stretch
    except BenchError:
        return False


def stretched(prob: Pixels) -> Pixels:
    """Min-max stretch of an 8-bit map; a constant one is unchanged."""
    low, high = int(prob.min()), int(prob.max())
    if low == high:
        return prob
    return np.round((prob.astype(np.float32) - low) * (255 / (high - low))).astype(np.uint8)


def fitted(pixels: Pixels, box: int) -> Pixels:
    """Shrink (H, W) or (H, W, 3) until its longer side is ``box`` px, keeping its proportions; never enlarge."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = box / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
