"""Disk space, and how a plan's cost grows with models, sets and seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.costs.formula import makespan
from benchmark.errors import BenchError

MAP_BYTES_PER_PX = 0.036
"""Bytes of a map's PNG per pixel: PraNet's published Kvasir maps, written by ``save_map`` (60 files)."""

RECORD_BYTES = 44_000
RECORD_BYTES_PER_SET = 190_000
RECORD_BYTES_PER_IMAGE = 1_000
"""A cell's files without weights and maps, of phantom runs with 48 and 88 test images: run.json and the fixed part of
scores.parquet; per test set its curves and the picture of its worst images; per test image its rows and its E curve."""


@dataclass(frozen=True)
class Size:
    """Size of a study, from which hours, disk space and the work on results follow.

    Attributes:
        models: Networks, ablated variants among them.
        sets: Datasets that are trained and tested on, pooled.
        cells: Trainings.
        images: Different images in all.
        tests: Test images of one cell.
        num_params: Mean parameters of a network.
        map_px: Mean pixels of a map.
        test_sets: Test sets of one cell.
    """

    models: int
    sets: int
    cells: int
    images: float
    tests: float
    num_params: float
    map_px: float
    test_sets: float

    def grown(self, models: int, sets: int, seeds: int) -> Size:
        """The same with other numbers: sets are as large as the plan's are on average, and pooled as in the plan."""
        factor = sets / self.sets
        return Size(
            models,
            sets,
            models * seeds,
            self.images * factor,
            self.tests * factor,
            self.num_params,
            self.map_px,
            self.test_sets * factor,
        )

    @property
    def map_bytes(self) -> float:
        """All maps."""
        return self.cells * self.tests * self.map_px * MAP_BYTES_PER_PX

    @property
    def record_bytes(self) -> float:
        """All records, curves and scores, without weights and maps."""
        per_cell = RECORD_BYTES + RECORD_BYTES_PER_SET * self.test_sets + RECORD_BYTES_PER_IMAGE * self.tests
        return self.cells * per_cell

    @property
    def weight_bytes(self) -> float:
        """All kept weights (best.pt), float32."""
        return self.cells * self.num_params * 4

    @property
    def image_pairs(self) -> float:
        """Largest number of image pairs that the duplicate audit compares."""
        return self.images * (self.images - 1) / 2

    @property
    def model_pairs(self) -> float:
        """Paired comparisons of the tables of significance: every two models on every test set."""
        return math.comb(self.models, 2) * self.test_sets


def parse_growth(text: str) -> tuple[int, int, int]:
    """Read ``MODELSxSETSxSEEDS``.

    Raises:
        BenchError: It is not three whole numbers from 1.
    """
    try:
        models, sets, seeds = (int(part) for part in text.lower().split("x"))
        if min(models, sets, seeds) < 1:
            raise ValueError
    except ValueError:
        raise BenchError(f"--grow {text}: expected MODELSxSETSxSEEDS, for example 100x5x3") from None
    return models, sets, seeds


def grown_hours(
    mean_cell_s: tuple[float, float], size: Size, grown: Size, counts: Sequence[int]
) -> dict[int, tuple[float, float]]:
    """Hours of the grown study by number of devices: cells of the plan's mean cost, times the growth of the sets."""
    factor = grown.sets / size.sets
    least, most = ([seconds * factor] * grown.cells for seconds in mean_cell_s)
    return {count: (makespan(least, count) / 3600, makespan(most, count) / 3600) for count in counts}
