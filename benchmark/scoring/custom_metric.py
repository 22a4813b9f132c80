"""A custom metric on the stored maps of finished cells: nothing is trained, no record is changed."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.files.maps import read_map
from benchmark.data.files.read_item import read_mask
from benchmark.errors import BenchError
from benchmark.report.records.names import recorded_model
from benchmark.scoring.kept_maps import NotHere, kept_items
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.data.listing.items import Item


@dataclass(frozen=True)
class Metric:
    """A function of one map and one mask.

    Attributes:
        name: Its name in tables and files: the function's.
        code: Eight hex digits of the file's text: a changed text is a new metric.
        function: (map (H, W) uint8, mask (H, W) bool) -> number; NaN where it is undefined.
    """

    name: str
    code: str
    function: Callable[[NDArray[np.uint8], NDArray[np.bool_]], float]


@dataclass(frozen=True)
class Measured:
    """Values of one metric.

    Attributes:
        rows: One row per cell and image: cell, model, title, ablation, seed, dataset, id, value.
        files: Files written, one parquet file per cell.
        left: Test sets without stored maps or images, one line each.
    """

    rows: pd.DataFrame
    files: list[Path]
    left: list[str]


def load_metric(text: str) -> Metric:
    """Load ``FILE.py:function``.

    Raises:
        BenchError: No such file or function, or the file does not run.
    """
    file, _, name = text.rpartition(":")
    path = Path(file).expanduser()
    if not file.endswith(".py") or not name:
        raise BenchError(f"metric {text}: expected FILE.py:function, for example ./my_metric.py:area_error")
    if not path.is_file():
        raise BenchError(f"metric file {file}: not found; expected FILE.py:function")
    spec = importlib.util.spec_from_file_location(f"bench_metric_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # user code may raise anything
        raise BenchError(f"metric file {file}: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise BenchError(f"metric file {file}: has no function {name!r}")
    return Metric(name, hashlib.blake2b(path.read_bytes(), digest_size=4).hexdigest(), function)


def measure(
    metric: Metric,
    results: Path,
    *,
    models: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Measured:
    """Compute a metric on the stored maps of all finished cells, and store the values beside their scores.

    Args:
        metric: The metric.
        results: Results folder.
        models: Only these models, by registry name.
        datasets: Only these test sets.
        data_root: Where the masks are.
        cache_dir: For phantom.
        progress: Called with the current cell and set, the images done and in all.
    Raises:
        BenchError: No finished cell has stored maps; the images are not those that were scored; the function fails.
    """
    import pandas as pd

    layout = ResultsLayout(results)
    rows: list[dict[str, Any]] = []
    files: list[Path] = []
    left: list[str] = []
    chosen = None if models is None else set(map(recorded_model, models))
    for record in io.read_records(results):
        if record.status != "ok" or (chosen is not None and record.model not in chosen):
            continue
        paths = layout.cell(record.cell)
        values: list[dict[str, Any]] = []
        for name in record.tests:
            if datasets is not None and name not in datasets:
                continue
            try:
                items = kept_items(record, name, paths, data_root, cache_dir)
            except NotHere as reason:
                left.append(f"{record.cell} {name}: {reason}")
                continue
            for done, item in enumerate(items, start=1):
                values.append({"dataset": name, "id": item.id, "value": _value(metric, item, paths)})
                progress(f"{record.cell} {name}", done, len(items))
        if values:
            files.append(paths.metric(metric.name, metric.code))
            io.write_parquet(files[-1], pd.DataFrame(values))
            facts = {key: getattr(record, key) for key in ("cell", "model", "seed")}
            facts |= {"title": record.model_title, "ablation": ",".join(record.ablation)}
            rows += [{**facts, **value} for value in values]
    if not rows:
        raise BenchError(f"{results}: no finished cell has stored maps; {'; '.join(left[:1]) or 'run bench run'}")
    return Measured(pd.DataFrame(rows), files, left)


def _value(metric: Metric, item: Item, paths: CellPaths) -> float:
    prob, mask = read_map(paths.map(item.dataset, item.id)), read_mask(item)
    where = f"metric {metric.name} on {item.dataset} {item.id}"
    try:
        value = float(metric.function(prob, mask))
    except Exception as error:  # user code may raise anything
        raise BenchError(f"{where}: {type(error).__name__}: {error}") from error
    if math.isinf(value):
        raise BenchError(f"{where}: expected a finite number, or NaN where it is undefined, got {value}")
    return value


def summarise(measured: Measured, metric: Metric) -> list[dict[str, Any]]:
    """Return one row per cell and test set: mean over images, of how many, and how many were undefined."""
    keys = ["title", "ablation", "seed", "dataset"]
    out = []
    for key, group in measured.rows.groupby(["cell", *keys], sort=False):
        values = group["value"].dropna()
        facts = dict(zip(keys, key[1:], strict=True))
        mean = float(values.mean()) if len(values) else None
        out.append({**facts, "n": len(values), "undefined": len(group) - len(values), metric.name: mean})
    return out
