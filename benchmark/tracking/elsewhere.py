"""Finished cells in TensorBoard or Weights & Biases, written from the records like MLflow's runs; both are extras."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record
from benchmark.tracking.content import FIGURES, MAIN_PROTOCOL, digest, history_rows, params, run_name, score_key
from benchmark.tracking.mirror import Counts

Place = Literal["tensorboard", "wandb"]
PLACES: tuple[Place, ...] = get_args(Place)
PROJECT = "polyp-bench"
_WRITTEN = "written.txt"


def write_elsewhere(layout: ResultsLayout, records: Sequence[Record], place: Place, *, rebuild: bool = False) -> Counts:
    """Write the history, final scores and settings of cells that are not there yet, or of all.

    TensorBoard's files go to ``RESULTS/tensorboard``, those of Weights & Biases to ``RESULTS/wandb``; the latter sends
    them on as its own settings say (``WANDB_MODE=offline`` keeps them here).

    Raises:
        BenchError: The package is not installed, or refuses.
    """
    write = _tensorboard if place == "tensorboard" else _wandb
    folder = layout.root / place
    path = folder / _WRITTEN
    known = set() if rebuild or not path.is_file() else set(path.read_text(encoding="utf-8").split())
    written = kept = 0
    for record in records:
        name = digest(record, None)
        if name in known:
            kept += 1
            continue
        try:
            write(layout, record, folder, name)
        except BenchError:
            raise
        except Exception as error:  # whatever a server or its client says
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BenchError(f"{place}: {reason}; the records are unchanged") from error
        written += 1
        known.add(name)
        io.write_text(path, "\n".join(sorted(known)) + "\n")
    return Counts(written, kept)


def _scores(record: Record) -> dict[str, float]:
    return {
        score_key(test, name): value
        for test in record.tests.values()
        for name, value in test.scores.get(MAIN_PROTOCOL, {}).items()
        if name in FIGURES
    }


def _tensorboard(layout: ResultsLayout, record: Record, folder: Path, name: str) -> None:
    try:
        import tensorboard  # noqa: F401 (the logger would write by another package)
        from lightning_fabric.loggers import TensorBoardLogger
    except ImportError:
        raise _missing("tensorboard") from None
    logger = TensorBoardLogger(folder, name=record.cell.replace("/", "__"), version=name, default_hp_metric=False)
    for row in history_rows(layout, record):
        epoch = int(row.pop("epoch"))
        logger.log_metrics(row, epoch)
    logger.log_hyperparams(params(record), _scores(record))
    logger.finalize("success")


def _wandb(layout: ResultsLayout, record: Record, folder: Path, name: str) -> None:
    try:
        import wandb
    except ImportError:
        raise _missing("wandb") from None
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"console": "off", "silent": True, "disable_git": True, "disable_code": True}
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=name,
        name=run_name(record),
        config=params(record),
        dir=str(layout.root),
        settings=wandb.Settings(**settings),
    )
    for row in history_rows(layout, record):
        epoch = int(row.pop("epoch"))
        run.log(row, step=epoch)
    run.summary.update(_scores(record))
    run.finish()


def _missing(package: str) -> BenchError:
    return BenchError(f"{package} is not installed; python -m pip install 'polyp-bench[{package}]'")
