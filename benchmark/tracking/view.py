"""The comparison page of a study: which columns, which order, and where it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

_KEY = "bench"
_SECTION = "bench-comparison"
_SHOWN = {"display": True, "isReordered": True, "deleted": False}
_CURVES = ("train_loss", "val_mdsc")
_LINE: dict[str, object] = {
    "type": "LINE",
    "xAxisKey": "step",
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "lineSmoothness": 0,
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "range": {},
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}
_FIGURES = ("mDSC/", "mIoU/")
_PAGE = {"workflowType": "machine_learning"}
_ONLY_CELLS = "tags.`bench.kind` = 'cell'"


def view_tags(score_keys: Iterable[str]) -> dict[str, str]:
    """Tags of an experiment by which MLflow's page shows cells only, with the figures of each test set as columns.

    They are what MLflow itself stores for "share view"; a version that does not know them shows its usual page.

    Args:
        score_keys: Keys of metrics; those such as ``mDSC/Kvasir`` and ``mIoU/Kvasir`` become columns, in this order.
    """
    columns = [key for key in dict.fromkeys(score_keys) if key.count("/") == 1 and key.startswith(_FIGURES)]
    if not columns:
        return {}
    state = {
        "searchFilter": _ONLY_CELLS,
        "orderByKey": f"metrics.`{columns[0]}`",  # by start time MLflow would show parents instead
        "orderByAsc": False,
        "selectedColumns": [
            *(f"params.`{name}`" for name in ("model", "recipe", "seed")),
            *(f"metrics.`{key}`" for key in columns),
            *(f"tags.`bench.{name}`" for name in ("status", "synthetic", "device")),
        ],
        "compareRunSections": [{"uuid": _SECTION, "name": "Comparison", **_SHOWN, "isGenerated": False}],
        "compareRunCharts": _charts([key for key in columns if key.startswith(_FIGURES[0])]),
        "isAccordionReordered": True,  # keeps our section first
    }
    return {f"mlflow.sharedViewState.{_KEY}": json.dumps(state)}


def _charts(keys: Sequence[str]) -> list[dict[str, object]]:
    """Parallel coordinates over the test sets, a bar chart for each, and the curves of training."""
    parallel: dict[str, object] = {
        "type": "PARALLEL",
        "selectedParams": ["model"],
        "selectedMetrics": list(keys),
        "showAllRuns": True,
    }
    bars: list[dict[str, object]] = [{"type": "BAR", "metricKey": key, "displayName": key} for key in keys]
    lines = [{**_LINE, "metricKey": key, "selectedMetricKeys": [key], "displayName": key} for key in _CURVES]
    card: dict[str, object] = {
        "runsCountToCompare": 20,
        "metricSectionId": _SECTION,
        "deleted": False,
        "isGenerated": False,
    }
    return [{**card, **chart, "uuid": f"bench-{n}"} for n, chart in enumerate([parallel, *bars, *lines])]


def study_url(server: str, experiment_id: str) -> str:
    """Address of the study's runs with the preset columns."""
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{urlencode({**_PAGE, 'viewStateShareKey': _KEY})}"


def compare_url(server: str, experiment_id: str, run_ids: Sequence[str]) -> str:
    """Address of MLflow's comparison of runs: parallel coordinates, scatter, and a table of parameters and metrics."""
    query = {
        "runs": json.dumps(list(run_ids)),
        "experiments": json.dumps([experiment_id]),
        **_PAGE,
    }  # runs must be first
    return f"{server.rstrip('/')}/#/compare-runs?{urlencode(query)}"
