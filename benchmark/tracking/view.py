"""The comparison page of a study: which columns, which order, and where it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

_KEY = "bench"
_FIGURES = ("/mDSC", "/mIoU")
_PAGE = {"workflowType": "machine_learning"}
_ONLY_CELLS = "tags.`bench.kind` = 'cell'"


def view_tags(score_keys: Iterable[str]) -> dict[str, str]:
    """Tags of an experiment by which MLflow's page shows cells only, with the figures of each test set as columns.

    Args:
        score_keys: Keys of metrics; those such as ``Kvasir/mDSC`` and ``Kvasir/mIoU`` become columns, in this order.
    """
    columns = [key for key in dict.fromkeys(score_keys) if key.count("/") == 1 and key.endswith(_FIGURES)]
    state = {
        "searchFilter": _ONLY_CELLS,
        "orderByKey": f"metrics.`{columns[0]}`" if columns else None,  # by start time MLflow would show parents instead
        "orderByAsc": False,
        "selectedColumns": [
            *(f"params.`{name}`" for name in ("model", "recipe", "seed")),
            *(f"metrics.`{key}`" for key in columns),
            *(f"tags.`bench.{name}`" for name in ("status", "synthetic", "device")),
        ],
    }
    return {f"mlflow.sharedViewState.{_KEY}": json.dumps(state)} if columns else {}


def study_url(server: str, experiment_id: str) -> str:
    """Address of the study's runs with the preset columns."""
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{urlencode({**_PAGE, 'viewStateShareKey': _KEY})}"


def compare_url(server: str, experiment_id: str, run_ids: Sequence[str]) -> str:
    """Address of MLflow's comparison of runs: parallel coordinates, scatter, and a table of parameters and metrics."""
    query = {**_PAGE, "runs": json.dumps(list(run_ids)), "experiments": json.dumps([experiment_id])}
    return f"{server.rstrip('/')}/#/compare-runs?{urlencode(query)}"
