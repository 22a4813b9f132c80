"""Score a map against a mask, under one protocol or several from one pass over the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.curves import threshold_measures
from benchmark.metrics.levels import (
    Levels,
    LevelTable,
    check_mask,
    level_table,
    quantise,
    resize_levels,
    stretch_to_8bit,
)
from benchmark.metrics.named import get_protocol
from benchmark.metrics.plans import Plan
from benchmark.metrics.plans import plan as make_plan
from benchmark.metrics.protocol import Protocol
from benchmark.metrics.scores import Scores, make_scores
from benchmark.metrics.statistic import Statistic, collect
from benchmark.metrics.structure import mean_absolute_error, structure_measure
from benchmark.metrics.weighted import weighted_f

Engine = Literal["fast", "reference"]
ENGINES: tuple[str, ...] = ("fast", "reference")


def score(
    prob: NDArray,
    mask: NDArray[np.bool_],
    *,
    plan: Plan | None = None,
    protocol: str | Protocol | Path = "pranet",
    engine: str = "fast",
    boundary: bool = False,
    tolerance_px: float = 2.0,
) -> Scores:
    """Score one map.

    Args:
        prob: (H, W) map: uint8 in 0..255, or float in [0, 1], which is quantised to 8 bits first, as the
            protocol says (the named ones round).
        mask: (H, W) boolean mask, True in the polyp.
        plan: The mask's plan, if it is known already; it only saves time.
        protocol: Name, ``Protocol``, or path of a TOML file.
        engine: "fast", or "reference" for py_sod_metrics.
        boundary: Also compute ``hd95`` and ``surface_dice`` of the map at 0.5.
        tolerance_px: Distance in pixels within which a surface counts as met by ``surface_dice``.
    Raises:
        BenchError: If the map or the mask is not as described, their shapes differ, or the plan is another
            mask's; if the protocol or engine is unknown, or the reference engine cannot follow the protocol.
    Example:
        >>> mask = np.zeros((32, 32), dtype=bool)
        >>> mask[8:18, 8:18] = True
        >>> prob = np.zeros((32, 32), dtype=np.uint8)
        >>> prob[8:18, 8:13] = 255  # half of the polyp
        >>> scores = score(prob, mask, protocol="half")
        >>> round(scores.dice_half, 3), scores.iou_half
        (0.667, 0.5)
    """
    chosen = get_protocol(protocol)
    scored = _score_each(prob, mask, plan, [chosen], engine, boundary, tolerance_px)
    return scored[0]


def score_all(
    prob: NDArray,
    mask: NDArray[np.bool_],
    *,
    plan: Plan | None = None,
    protocols: Sequence[str | Protocol | Path] = ("pranet", "half"),
    engine: str = "fast",
    boundary: bool = False,
    tolerance_px: float = 2.0,
) -> dict[str, Scores]:
    """Score one map under several protocols; those that share map and size share the pass over pixels.

    Arguments and errors are those of ``score``.

    Returns:
        ``Scores`` by the protocol's name.
    Raises:
        BenchError: Also if two protocols have the same name.
    """
    chosen = [get_protocol(p) for p in protocols]
    names = [p.name for p in chosen]
    if len(set(names)) != len(names):
        raise BenchError(f"protocols {', '.join(names)}: each name may be given once; rename one")
    scored = _score_each(prob, mask, plan, chosen, engine, boundary, tolerance_px)
    return dict(zip(names, scored, strict=True))


def _score_each(
    prob: NDArray,
    mask: NDArray[np.bool_],
    plan: Plan | None,
    protocols: Sequence[Protocol],
    engine: str,
    boundary: bool,
    tolerance_px: float,
) -> list[Scores]:
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    mask = check_mask(mask)
    shared = _Shared(prob, mask, plan)
    return [shared.score(protocol, engine, tolerance_px if boundary else None) for protocol in protocols]


class _MaskFacts(TypedDict):
    size: tuple[int, int]
    empty: bool


class _Shared:
    """What several protocols can share while one map is scored."""

    def __init__(self, prob: NDArray, mask: NDArray[np.bool_], plan: Plan | None) -> None:
        if plan is not None and (plan.shape != mask.shape or plan.num_fg != np.count_nonzero(mask)):
            raise BenchError("plan belongs to another mask: make it with plan(mask), or leave it out")
        self._prob, self._mask, self._plan = prob, mask, plan
        self._quantised: dict[str, Levels] = {}
        self._prepared: dict[tuple[str, str, int, str], tuple[Levels, Plan, int, int]] = {}
        self._statistics: dict[tuple[object, ...], Statistic] = {}
        self._weighted: dict[tuple[int, int], float] = {}

    def score(self, protocol: Protocol, engine: str, tolerance_px: float | None) -> Scores:
        levels, plan, low, high = self._inputs(protocol)
        table = level_table(low, high, protocol)
        numbers: dict[str, float | None] = {}
        if tolerance_px is not None:
            from benchmark.metrics.boundary import boundary_scores

            pred = levels >= table.first_from(0.5, protocol.compare)
            numbers.update(boundary_scores(pred, plan.mask, tolerance_px=tolerance_px))
        if engine == "reference":
            from benchmark.metrics.reference import reference_measures

            measured, counts, own = reference_measures(levels, plan.mask, protocol)
            return make_scores(protocol, measured, counts, {**own, **numbers}, **self._mask_facts(plan))
        return self._fast(protocol, self._statistic(levels, low, plan, protocol), table, numbers)

    def _fast(
        self,
        protocol: Protocol,
        stat: Statistic,
        table: LevelTable,
        numbers: dict[str, float | None],
    ) -> Scores:
        moments = stat.moments(table)
        numbers["mae"] = mean_absolute_error(stat, moments)
        numbers["sm"] = structure_measure(stat, table, moments)
        key = (id(stat.levels), id(table))  # both live as long as this object and the table's cache
        if key not in self._weighted:
            self._weighted[key] = weighted_f(stat, table)
        numbers["wfm"] = self._weighted[key]
        facts = self._mask_facts(stat.plan)
        if facts["empty"] and protocol.empty_mask == "one-if-empty":
            numbers["wfm"] = float(moments.value == 0)
        mean = moments.value / stat.num_pixels
        measured, counts = threshold_measures(stat, table, mean, protocol, empty=facts["empty"])
        return make_scores(protocol, measured, counts, numbers, **facts)

    def _mask_facts(self, plan: Plan) -> _MaskFacts:
        """Return the size of the mask as scored, and whether it is empty at its own size."""
        assert self._plan is not None, "made by _inputs"
        return {"size": (plan.num_fg, plan.rank.size), "empty": self._plan.num_fg == 0}

    def _inputs(self, protocol: Protocol) -> tuple[Levels, Plan, int, int]:
        """Return map and plan as the protocol scores them, and the map's lowest and highest level."""
        key = (protocol.quantise, protocol.resize, protocol.size_px, protocol.postprocess)
        if key not in self._prepared:
            if protocol.quantise not in self._quantised:
                self._quantised[protocol.quantise] = quantise(self._prob, protocol.quantise)
            levels, size = self._quantised[protocol.quantise], protocol.size_px
            if protocol.resize == "native" or levels.shape != (size, size):
                check_mask(self._mask, levels.shape)
            if self._plan is None:
                self._plan = make_plan(self._mask)
            plan = self._plan
            if protocol.resize == "square":
                levels, plan = resize_levels(levels, size), plan.resized(size)
            if protocol.postprocess == "minmax":
                levels = stretch_to_8bit(levels)
            self._prepared[key] = levels, plan, int(levels.min()), int(levels.max())
        return self._prepared[key]

    def _statistic(self, levels: Levels, low: int, plan: Plan, protocol: Protocol) -> Statistic:
        half_up = protocol.variant == "matlab"
        key = (id(levels), plan.split(half_up))
        if key not in self._statistics:
            self._statistics[key] = collect(levels, low, plan, half_up=half_up)
        return self._statistics[key]
