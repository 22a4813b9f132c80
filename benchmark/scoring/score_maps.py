"""Maps on disk + masks -> one row per image, 256-level curves and the set's figures; for maps of any origin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.generated import default_cache_dir
from benchmark.data.files.hashing import content_hash
from benchmark.data.files.maps import read_map
from benchmark.data.files.parallel import ahead
from benchmark.data.files.read_item import read_mask_grey
from benchmark.data.listing.items import Item
from benchmark.errors import BenchError
from benchmark.metrics import PlanCache, Protocol, Scores, get_protocol, mask_facts, plan, score_all
from benchmark.metrics.aggregate import Accumulator
from benchmark.metrics.reference import check_reference
from benchmark.store.schema import EmptyMasks

if TYPE_CHECKING:
    import pandas as pd

_PLAN_CACHE_MB = 4096


@dataclass(frozen=True)
class Scored:
    """Scores of one test set.

    Attributes:
        rows: One row per protocol and image: protocol, dataset, id, group, sizes, every metric.
        curves: ``<protocol>/<dataset>/<measure>`` -> 256 sums over images, threshold 255 first; ``.../n``;
            and ``.../em_images``, one E curve per image in the rows' order.
        summary: Figures of the set by protocol.
        empty_masks: Images without a polyp by protocol, and what it does with them; absent where there are none.
    """

    rows: pd.DataFrame
    curves: dict[str, NDArray[np.float64]]
    summary: dict[str, dict[str, float]]
    empty_masks: dict[str, EmptyMasks] = field(default_factory=dict)


def score_maps(
    items: Iterable[Item],
    path_of: Callable[[Item], Path],
    *,
    dataset: str,
    protocols: Sequence[str | Protocol] = ("pranet",),
    engine: str = "fast",
    cache_dir: Path | None = None,
    read: Callable[[Path], NDArray] | None = None,
    read_mask: Callable[[Item], NDArray[np.uint8]] = read_mask_grey,
    boundary: bool = False,
    total: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Scored:
    """Score one test set's maps under several protocols in one pass.

    Images are decoded and scored on all cores, a few at a time, and added up in order: the figures do not depend on
    the number of cores, and memory does not grow with the number of images but for their rows.

    Args:
        items: The images; each must have a map when its turn comes.
        path_of: Path of an item's map.
        dataset: Name for the rows.
        protocols: Protocols that share maps, or their names.
        engine: ``fast`` or ``reference`` (py_sod_metrics).
        cache_dir: Where plans of masks are kept; None for the user's cache folder.
        read: Reads a map as an (H, W) array; None for our own 8-bit PNG files.
        read_mask: Reads an item's mask as (H, W) uint8 grey; each protocol cuts it at its own ``mask_threshold``.
        boundary: Also HD95 and surface Dice.
        total: How many images there are; unset: as many as ``items`` holds.
        progress: Called with images done and in all.
    Raises:
        BenchError: A map is missing, unreadable or of another size than its mask; the reference engine cannot follow
            a protocol.
    """
    import pandas as pd

    if total is None:
        items = list(items)
        total = len(items)
    chosen = [get_protocol(protocol) for protocol in protocols]
    for protocol in chosen if engine == "reference" else ():
        check_reference(protocol)
    sums = {protocol.name: Accumulator() for protocol in chosen}
    one = _Scorer(path_of, read or read_map, read_mask, chosen, engine, cache_dir, boundary)
    for done, (item, results) in enumerate(ahead(one, items), start=1):
        who = {"dataset": dataset, "id": item.id, "group": item.group, "content": content_hash(item)}
        for name, (scores, facts) in results.items():
            sums[name].add(scores, protocol=name, **who, **facts)
        progress(done, total)
    curves = {
        f"{name}/{dataset}/{measure}": np.asarray(values)
        for name, one_sum in sums.items()
        for measure, values in (*one_sum.curve_sums().items(), ("em_images", one_sum.em_curves()))
    }
    rows = pd.DataFrame([row for one_sum in sums.values() for row in one_sum.rows()])
    empty = {
        protocol.name: EmptyMasks(n=sums[protocol.name].num_empty, rule=protocol.empty_mask)
        for protocol in chosen
        if sums[protocol.name].num_empty
    }
    return Scored(rows, curves, {name: one_sum.result() for name, one_sum in sums.items()}, empty)


class _Scorer:
    """Decode one image's map and mask and score them; called from several threads."""

    def __init__(
        self,
        path_of: Callable[[Item], Path],
        read: Callable[[Path], NDArray],
        read_mask: Callable[[Item], NDArray[np.uint8]],
        protocols: Sequence[Protocol],
        engine: str,
        cache_dir: Path | None,
        boundary: bool,
    ) -> None:
        self._path_of, self._read, self._read_mask = path_of, read, read_mask
        self._engine, self._boundary = engine, boundary
        self._plans = PlanCache((cache_dir or default_cache_dir()) / "plans", max_mb=_PLAN_CACHE_MB)
        self._by_cut: dict[int, list[Protocol]] = {}
        for protocol in protocols:
            self._by_cut.setdefault(protocol.mask_threshold, []).append(protocol)

    def __call__(self, item: Item) -> tuple[Item, dict[str, tuple[Scores, dict[str, Any]]]]:
        grey, path = self._read_mask(item), self._path_of(item)
        prob = self._read(path)
        results: dict[str, tuple[Scores, dict[str, Any]]] = {}
        for cut, protocols in self._by_cut.items():
            mask = grey > cut
            ready = self._plans.get(mask) if self._engine == "fast" else plan(mask)
            try:
                scored = score_all(
                    prob, mask, plan=ready, protocols=protocols, engine=self._engine, boundary=self._boundary
                )
            except BenchError as error:
                raise BenchError(f"{path}: {error}") from error
            facts = mask_facts(mask)
            results |= {name: (scores, facts) for name, scores in scored.items()}
        return item, results
