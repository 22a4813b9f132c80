"""What is known of a loaded network: cell, commit, weights' checksum, training images, scores with intervals."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

from benchmark.prediction.loaded import LoadedModel
from benchmark.report.records.grouping import regrouped
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record


def facts_of_cell(record: Record, results: Path) -> dict[str, Any]:
    """What the page says of a cell; every entry stands in its record, but for the intervals, which its scores give.

    Args:
        record: Of the cell.
        results: Folder whose ``scores.parquet`` is read; a cell of another folder has no intervals.
    """
    return {
        "cell": record.cell,
        "commit": record.environment.get("commit"),
        "weights_sha256": record.best_sha256,
        "size_px": record.recipe.get("image_size"),
        "recipe": record.recipe_name,
        "postprocess": record.recipe.get("postprocess"),
        "split": record.split.name,
        "num_train": record.split.num_train,
        "synthetic": record.synthetic,
        "scores": [row for name in record.tests for row in _scores(record, name, results)],
    }


def facts_of_checkpoint(model: LoadedModel, path: Path) -> dict[str, Any]:
    """What the page says of released weights: nothing is known of their training."""
    recipe = model.network.recipe
    return {
        "cell": None,
        "commit": None,
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "weights_file": path.name,
        "size_px": recipe.image_size,
        "recipe": recipe.name,
        "postprocess": recipe.postprocess,
        "split": None,
        "num_train": None,
        "synthetic": None,
        "scores": [],
    }


def _scores(record: Record, dataset: str, results: Path) -> list[dict[str, Any]]:
    test = record.tests[dataset]
    return [
        {
            "dataset": test.title,
            "protocol": protocol,
            "n": test.n,
            "num_leaked": test.num_leaked,
            "mdsc": scores.get("mDSC"),
            "interval": _interval(record, dataset, protocol, results),
        }
        for protocol, scores in test.scores.items()
    ]


def _interval(record: Record, dataset: str, protocol: str, results: Path) -> list[float] | None:
    """95 % interval over groups of images for this one training; None where the design gives none."""
    import pandas as pd

    from benchmark.report.statistics.fit import fit_scores
    from benchmark.report.statistics.limits import not_estimable
    from benchmark.report.statistics.model import means

    path = ResultsLayout(results).cell(record.cell).scores
    if not path.is_file():
        return None
    rows = regrouped(io.read_scores(path))
    rows = rows[(rows["protocol"] == protocol) & (rows["dataset"] == dataset)]
    if rows.empty or rows["dice"].isna().any():
        return None
    groups = pd.factorize(rows["group"])[0].astype("int64")
    fit = fit_scores(rows["dice"].to_numpy()[None, None], groups)
    if not_estimable(fit.sizes):
        return None
    found = means(fit)
    ends = [float(found.low[0]), float(found.high[0])]
    return None if any(map(math.isnan, ends)) else [round(end, 4) for end in ends]
