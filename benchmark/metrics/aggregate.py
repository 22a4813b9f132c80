"""From images to a dataset, as the field prints it: mean and maximum of the dataset's mean curve."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import BenchError
from benchmark.metrics.curves import ADAPTIVE, EXPLICIT, HALF, NUM_LEVELS, measures_of_counts
from benchmark.metrics.curves import MEASURES as CURVES
from benchmark.metrics.measures import MEASURE_KEYS, MEASURES
from benchmark.metrics.protocol import Protocol
from benchmark.metrics.scores import Scores

Row: TypeAlias = dict[str, Any]

_PRINTED = {
    "dice": ("mDSC", "maxDSC"),
    "iou": ("mIoU", "maxIoU"),
    "em": ("meanEm", "E_phi_max"),
    "recall": ("meanSen", "maxSen"),
    "specificity": ("meanSpe", "maxSpe"),
    "precision": ("meanPre", "maxPre"),
    "f": ("meanF", "maxF"),
}
_RENAMED = {measure.column: measure.key for measure in MEASURES}

MISS_BELOW = 0.1
"""An image is missed where its Dice, averaged over the protocol's thresholds, is below this."""


def worst_first(scores: ArrayLike, *, higher_is_better: bool = True) -> NDArray[np.intp]:
    """Return the positions of (n,) scores from the worst to the best; equal scores keep their order."""
    values = np.asarray(scores, dtype=np.float64)
    return np.argsort(values if higher_is_better else -values, kind="stable")


class Accumulator:
    """Streaming sums over the images of one dataset under one protocol.

    Per image it keeps one row of numbers; curves are summed, and the E curves needed for the rows' ``em_max``
    go to a temporary file beyond 8 MB, so memory does not grow with 256-level curves.

    Attributes:
        protocol: Of the scores; None before the first.
        num_empty: Images without a polyp so far, also where the protocol leaves them out.
    """

    def __init__(self) -> None:
        self.protocol: Protocol | None = None
        self._rows: list[Row] = []
        self._numbers: dict[str, float] = {}
        self._missed = self._with_polyp = 0
        self._curves = np.zeros((len(CURVES), 256))
        self._at: NDArray[np.float64] = np.zeros((len(CURVES), 0))
        self._counts: NDArray[np.int64] = np.zeros((2, 0), np.int64)
        self._size = np.zeros(2, np.int64)
        self.num_empty = 0
        self._em = tempfile.SpooledTemporaryFile(max_size=8 << 20)  # noqa: SIM115
        weakref.finalize(self, self._em.close)

    @property
    def n(self) -> int:
        """Images in the means so far."""
        return len(self._rows)

    def add(self, scores: Scores, **facts: Any) -> None:
        """Add one image; ``facts`` (id, group, strata...) come first in its row.

        An image whose mask is empty is counted, and gets no row where the protocol skips it.

        Raises:
            BenchError: If the scores' protocol is not that of the images before.
        """
        numbers = scores.row()
        if self.protocol is None:
            self.protocol = scores.protocol
            self._at = np.zeros_like(scores.at)
            self._counts = np.zeros_like(scores.counts)
        elif scores.protocol.hash != self.protocol.hash:
            raise BenchError(
                f"scores under {scores.protocol.label} cannot join those under {self.protocol.label}: "
                "aggregate each protocol on its own"
            )
        elif self._numbers and numbers.keys() != self._numbers.keys():
            raise BenchError("scores with and without boundary measures cannot be joined: ask for them always or never")
        self.num_empty += scores.mask_empty
        if scores.mask_empty and scores.protocol.empty_mask == "skip":
            return
        self._counts += scores.counts
        self._size += (scores.num_fg, scores.num_pixels)
        self._curves += [scores.curves()[name] for name in CURVES]
        self._at += scores.at
        for name, value in numbers.items():
            self._numbers[name] = self._numbers.get(name, 0.0) + value
        if facts.get("mask_px") != 0:
            self._with_polyp += 1
            self._missed += numbers["dice"] < MISS_BELOW
        self._em.write(np.ascontiguousarray(scores.at[0], np.float64).tobytes())
        self._rows.append({**facts, **numbers})

    def rows(self) -> list[Row]:
        """Return one row per image, in order, each with ``em_max``: E at the threshold of E_phi_max."""
        if not self._rows:
            return []
        peak, width = int(self._at[0].argmax()), self._at.shape[1]
        rows = []
        for i, row in enumerate(self._rows):
            self._em.seek((i * width + peak) * 8)
            rows.append({**row, "em_max": float(np.frombuffer(self._em.read(8), np.float64)[0])})
        self._em.seek(0, 2)
        return rows

    def curve_sums(self) -> dict[str, NDArray[np.float64]]:
        """Return the sums over images of the seven 256-level curves, and ``n``."""
        sums = {name: self._curves[i].copy() for i, name in enumerate(CURVES)}
        return {**sums, "n": np.array(self.n)}

    def em_curves(self) -> NDArray[np.float32]:
        """Return the E curve of every image, in order, (n, thresholds averaged), to four bytes.

        With them E_phi_max can be had of any part of the set, whose peak may lie at another threshold.
        """
        self._em.seek(0)
        values = np.frombuffer(self._em.read(), np.float64)
        return values.reshape(self.n, self._at.shape[1]).astype(np.float32)

    def result(self) -> dict[str, float]:
        """Return the dataset's figures by their printed names.

        ``mDSC``, ``mIoU``, ``meanEm``, ``meanSen``, ``meanSpe`` are means, ``maxDSC``, ``maxIoU``,
        ``E_phi_max``, ``maxSen``, ``maxSpe`` maxima of the dataset's mean curve over the protocol's thresholds
        (one shared threshold, not the mean of each image's best one); ``S_alpha``, ``F_beta_w``, ``MAE`` and
        the columns ``*_half``, ``adp_*``, ``hd95``, ``surface_dice`` are means over images; ``miss_rate`` is the
        share of images whose ``dice`` is below 0.1, among those with a polyp (absent where there is none).
        Where the protocol averages over pixels, Dice, IoU, precision, recall, specificity and F are those of the
        pixels of all images counted together, at each threshold.

        Raises:
            BenchError: If there is no image, or the protocol left every one out.
        """
        if not self._rows and self.num_empty:
            raise BenchError(
                f"all {self.num_empty} masks are empty, and protocol {self.protocol.label if self.protocol else ''} "
                'skips them: score under one whose empty_mask is "score" or "one-if-empty"'
            )
        if not self._rows:
            raise BenchError("no image was scored: a mean over nothing has no value")
        mean_at = self._at / self.n
        singles: dict[str, float] = {}
        if self.protocol is not None and self.protocol.average == "pixels":
            mean_at, singles = self._over_pixels(self.protocol, mean_at)
        figures: dict[str, float] = {}
        for i, name in enumerate(CURVES):
            mean_name, max_name = _PRINTED[name]
            figures[mean_name] = float(mean_at[i].mean())
            figures[max_name] = float(mean_at[i].max())
        for name, total in self._numbers.items():
            if name not in CURVES:
                figures[_RENAMED.get(name, name)] = singles.get(name, total / self.n)
        if self._with_polyp:
            figures["miss_rate"] = self._missed / self._with_polyp
        return {**{key: figures[key] for key in MEASURE_KEYS}, **figures}

    def _over_pixels(
        self, protocol: Protocol, mean_at: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], dict[str, float]]:
        """Return the measures at the averaged thresholds, and those at 0.5 and at twice the mean, of all pixels."""
        found = measures_of_counts(protocol, self._counts, int(self._size[0]), int(self._size[1]))
        singles: dict[str, float] = {}
        for i, name in enumerate(CURVES[1:]):
            singles |= {f"{name}_half": float(found[i, HALF]), f"adp_{name}": float(found[i, ADAPTIVE])}
        at = found[:, :NUM_LEVELS] if protocol.thresholds == "all" else found[:, EXPLICIT:]
        return np.vstack([mean_at[:1], at]), singles


def aggregate(scores: Iterable[Scores] | Accumulator) -> dict[str, float]:
    """Return a dataset's figures (see ``Accumulator.result``) from its images' scores or an accumulator.

    Args:
        scores: ``Scores`` of one protocol, consumed one by one; or an ``Accumulator`` that has seen them.
    Raises:
        BenchError: If there are none, or they are of different protocols.
    """
    if isinstance(scores, Accumulator):
        return scores.result()
    accumulator = Accumulator()
    for one in scores:
        accumulator.add(one)
    return accumulator.result()
