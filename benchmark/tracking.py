"""MLflow mirror of the store. The store is the truth: deleting MLflow loses nothing."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "polyp-bench"
_BATCH = 1000  # the most metrics that MLflow takes in one call
_STATUS = {"ok": "FINISHED", "interrupted": "KILLED"}


def tracking_uri(layout: ResultsLayout) -> str:
    """``MLFLOW_TRACKING_URI`` where it is set, otherwise an sqlite file in the results folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{layout.mlflow_db.resolve()}"


def mirror(layout: ResultsLayout, records: list[Record], *, artifacts: list[Path]) -> int:
    """Write each record as one MLflow run, replacing an older run of the same cell.

    Args:
        layout: The results folder.
        records: What to mirror.
        artifacts: Files kept with every run besides its own record and history (tables).
    Returns:
        Number of runs written.
    Raises:
        Exception: Whatever MLflow raises; the caller decides whether that matters.
    """
    if not records:
        return 0
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # its database set-up is nobody's news
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri(layout))
    experiment = _experiment(client, layout)
    for record in records:
        _write(client, experiment, layout, record, artifacts)
    return len(records)


def _experiment(client: MlflowClient, layout: ResultsLayout) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return found.experiment_id
    own_store = "MLFLOW_TRACKING_URI" not in os.environ
    location = layout.mlflow_artifacts.resolve().as_uri() if own_store else None
    return client.create_experiment(EXPERIMENT, artifact_location=location)


def _write(client: MlflowClient, experiment: str, layout: ResultsLayout, record: Record, artifacts: list[Path]) -> None:
    from mlflow.entities import Param

    for old in client.search_runs([experiment], f"tags.`bench.cell` = '{record.cell}'"):
        if old.data.tags.get("bench.created") == record.created:
            return
        client.delete_run(old.info.run_id)
    begun = int(datetime.fromisoformat(record.created).timestamp() * 1000)
    run = client.create_run(experiment, start_time=begun, tags=_tags(record), run_name=record.cell)
    run_id = run.info.run_id
    params = [Param(key, str(value)[:500]) for key, value in _params(record).items()]
    client.log_batch(run_id, params=params)
    metrics = _metrics(layout, record, begun)
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])
    paths = layout.cell(record.cell)
    for file in (paths.record, paths.history, paths.scores, *artifacts):
        if file.is_file():
            client.log_artifact(run_id, str(file), "tables" if file in artifacts else None)
    end = begun + int(
        1000 * sum(value for key, value in record.timing.items() if key.endswith("_s") and "/" not in key)
    )
    client.set_terminated(run_id, _STATUS.get(record.status, "FAILED"), end_time=end)


def _params(record: Record) -> dict[str, Any]:
    return {
        "model": record.model,
        "ablation": ",".join(record.ablation) or "none",
        "seed": record.seed,
        "split": record.split.name,
        "split_seed": record.split.seed,
        "num_params": record.num_params,
        **{f"protocol.{name}": value for name, value in record.protocols.items()},
        **{f"recipe.{key}": value for key, value in record.recipe.items()},
    }


def _tags(record: Record) -> dict[str, str]:
    env = record.environment
    tags = {
        "bench.cell": record.cell,
        "bench.created": record.created,
        "bench.status": record.status,
        "bench.synthetic": str(record.synthetic).lower(),
        "bench.model": record.model_title,
        "bench.error": record.error,
        "bench.commit": env.get("commit"),
        "bench.device": env.get("device_name"),
    }
    return {key: str(value) for key, value in tags.items() if value is not None}


def _metrics(layout: ResultsLayout, record: Record, begun: int) -> list[Any]:
    from mlflow.entities import Metric

    metrics = [
        Metric(
            f"{result.title}/{name}" if protocol == "pranet" else f"{protocol}/{result.title}/{name}", value, begun, 0
        )
        for result in record.tests.values()
        for protocol, scores in result.scores.items()
        for name, value in scores.items()
    ]
    metrics = [Metric(_safe(metric.key), metric.value, begun, 0) for metric in metrics]
    history = layout.cell(record.cell).history
    if history.is_file():
        import pandas as pd

        for row in pd.read_csv(history).to_dict("records"):
            step = int(row.pop("epoch"))
            metrics += [Metric(str(key), float(value), begun + step, step) for key, value in row.items()]
    return metrics


def _safe(key: str) -> str:
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in key)
