"""Maps on disk + masks -> one row per image, 256-level curves and the set's figures; whoever made the maps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.data.decode import decode_mask
from benchmark.data.items import Item
from benchmark.data.storage import default_cache_dir
from benchmark.errors import BenchError
from benchmark.metrics import Plan, PlanCache, Protocol, get_protocol, mask_facts, plan, score_all
from benchmark.metrics.aggregate import Accumulator

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
    """

    rows: pd.DataFrame
    curves: dict[str, NDArray[np.float64]]
    summary: dict[str, dict[str, float]]


def score_maps(
    items: Sequence[Item],
    path_of: Callable[[Item], Path],
    *,
    dataset: str,
    protocols: Sequence[str | Protocol] = ("pranet",),
    engine: str = "fast",
    cache_dir: Path | None = None,
    read: Callable[[Path], NDArray] | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Scored:
    """Score one test set's maps under several protocols in one pass.

    Args:
        items: The images; every one must have a map.
        path_of: Where an item's map lies.
        dataset: Name for the rows.
        protocols: Protocols that share maps, or their names.
        engine: ``fast`` or ``reference`` (py_sod_metrics).
        cache_dir: Where plans of masks are kept; None for the user's cache folder.
        read: Reads a map as an (H, W) array; None for our own 8-bit PNG files.
        progress: Called with images done and in all.
    Raises:
        BenchError: A map is missing, unreadable or of another size than its mask.
    """
    import pandas as pd

    chosen = [get_protocol(protocol) for protocol in protocols]
    sums = {protocol.name: Accumulator() for protocol in chosen}
    plans = PlanCache((cache_dir or default_cache_dir()) / "plans", max_mb=_PLAN_CACHE_MB)
    for done, (item, prob, ready) in enumerate(_load(items, path_of, read or read_map, plans, engine), start=1):
        try:
            scores = score_all(prob, ready.mask, plan=ready, protocols=chosen, engine=engine)
        except BenchError as error:
            raise BenchError(f"{path_of(item)}: {error}") from error
        facts = {"dataset": dataset, "id": item.id, "group": item.group, **mask_facts(ready.mask)}
        for name, one in scores.items():
            sums[name].add(one, protocol=name, **facts)
        progress(done, len(items))
    curves = {
        f"{name}/{dataset}/{measure}": np.asarray(values)
        for name, total in sums.items()
        for measure, values in (*total.curve_sums().items(), ("em_images", total.em_curves()))
    }
    rows = pd.DataFrame([row for total in sums.values() for row in total.rows()])
    return Scored(rows, curves, {name: total.result() for name, total in sums.items()})


def read_map(path: Path) -> NDArray[np.uint8]:
    """Read an 8-bit single-channel PNG as (H, W) uint8.

    Raises:
        BenchError: Missing or unreadable.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L") if image.mode != "L" else image)
    except FileNotFoundError:
        raise BenchError(f"map {path} is missing: run the cell again with --if-exists overwrite") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise BenchError(f"map {path} is unreadable ({error}); run the cell again with --if-exists overwrite") from None


def _load(
    items: Sequence[Item],
    path_of: Callable[[Item], Path],
    read: Callable[[Path], NDArray],
    plans: PlanCache,
    engine: str,
) -> Iterator[tuple[Item, NDArray, Plan]]:
    """Decode ahead on the other cores, a bounded number of images at a time, in order."""

    def one(item: Item) -> tuple[Item, NDArray, Plan]:
        mask = decode_mask(item.mask_path)
        return item, read(path_of(item)), plans.get(mask) if engine == "fast" else plan(mask)

    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(items), 4 * workers):
            yield from pool.map(one, items[start : start + 4 * workers])
