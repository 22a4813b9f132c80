"""One cell: train it, score it on every test set, and record how it ended."""

from __future__ import annotations

import traceback
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmark.config import derive_seed
from benchmark.errors import BenchError
from benchmark.models.build import build_network, run_environment
from benchmark.models.registry import switches
from benchmark.models.summary import live_parameters, model_summary
from benchmark.runtime.device import make_fabric
from benchmark.runtime.load import Sampler
from benchmark.scoring.test_sets import score_cell
from benchmark.store import io
from benchmark.store.checkpoint import load_weights, save_weights
from benchmark.store.layout import CellPaths
from benchmark.store.schema import Record, Status
from benchmark.study.events import Watcher
from benchmark.study.pixels import training_pools
from benchmark.study.plan import Cell, Study
from benchmark.study.reuse import agrees, covers, is_trained, old_record, refreshed

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn

    from benchmark.training.loop import Outcome

_OF_TRAINING = ("best_epoch", "best_sha256", "val", "timing", "pretrained", "environment", "training")


def run_cell(study: Study, cell: Cell, watcher: Watcher) -> tuple[Record, bool]:
    """Train, predict and score one cell, or keep what is there.

    Returns:
        The record, and whether it was there before and is still good.
    """
    paths = study.layout.cell(cell.id)
    request = study.request
    old = old_record(paths, request.if_exists)
    if old is not None and old.status == "ok" and covers(old, study, cell):
        return refreshed(paths, old, study, cell), True
    if request.if_exists != "resume" and (old is None or old.status != "ok"):
        paths.last.unlink(missing_ok=True)
    draft = _draft(study, cell)
    try:
        record = _complete(study, cell, draft, old, watcher)
    except KeyboardInterrupt:
        _write_unfinished(paths, draft, old, "interrupted", "stopped by a signal")
        raise
    except (BenchError, OSError) as error:
        if _is_disk_trouble(error):
            raise
        return _write_unfinished(paths, draft, old, "failed", str(error)), False
    except Exception as error:
        watcher.message(traceback.format_exc())
        return _write_unfinished(paths, draft, old, "failed", f"{type(error).__name__}: {error}"), False
    io.write_record(paths, record)
    return record, False


def _write_unfinished(paths: CellPaths, draft: Record, old: Record | None, status: Status, error: str) -> Record:
    """Record how a cell ended short; what had been scored or trained before stays on record."""
    ended = {"status": status, "error": error}
    if old is not None and old.status == "ok":
        return old.model_copy(update=ended)  # for the table of now; the finished record on disk is left as it is
    written = io.read_record(paths.record) if paths.record.is_file() else None
    base = written if written is not None and written.created == draft.created else draft
    record = base.model_copy(update=ended)
    io.write_record(paths, record)
    return record


def _complete(study: Study, cell: Cell, draft: Record, old: Record | None, watcher: Watcher) -> Record:
    """Train unless a finished checkpoint is there, then predict and score the test sets that are still missing."""
    from benchmark.runtime.determinism import deterministic

    fabric = make_fabric(study.request.device, cell.recipe)
    with deterministic(study.request.deterministic, fabric.device) as unsteady:
        return _train_and_score(study, cell, draft, old, watcher, fabric, unsteady)


def _train_and_score(
    study: Study, cell: Cell, draft: Record, old: Record | None, watcher: Watcher, fabric: Fabric, unsteady: list[str]
) -> Record:
    import torch

    paths, recipe = study.layout.cell(cell.id), cell.recipe
    torch.manual_seed(derive_seed("init", cell.seed))
    trained = is_trained(old, paths, study.request.if_exists)
    model = build_network(
        cell.spec, cell.recipe, drop=cell.ablation, weights=cell.weights, pretrained=recipe.pretrained and not trained
    )
    facts: dict[str, Any] = {
        "num_params": live_parameters(model),
        "parts": list(switches(cell.spec)),
        "pretrained": _weights_used(model),
        "environment": run_environment(fabric, cell.spec),
    }
    if study.request.deterministic:  # the list fills while the cell runs
        facts["environment"]["nondeterministic"] = unsteady
    io.write_text(paths.summary, model_summary(model, cell.spec.title))
    if trained:
        assert old is not None
        model.load_state_dict(load_weights(paths.best, old.best_sha256))
        model.to(fabric.device)
        facts |= {key: getattr(old, key) for key in _OF_TRAINING}
    else:
        paths.best.unlink(missing_ok=True)
        outcome = _train(study, cell, model, fabric, watcher)
        facts |= _training_facts(outcome, watcher, paths, model)
        if outcome.status != "ok":
            return draft.model_copy(update={**facts, "status": outcome.status, "error": outcome.error})
        waiting = {"status": "interrupted", "error": "trained; its test images are still to be scored"}
        io.write_record(paths, draft.model_copy(update={**facts, **waiting}))
    kept = old if old is not None and agrees(old, study) else None
    tests, seconds = score_cell(study, cell, model, fabric, watcher, old=kept)
    paths.last.unlink(missing_ok=True)
    timing = {**facts["timing"], **seconds}
    protocols = {**(kept.protocols if kept else {}), **study.request.protocol_hashes}
    return draft.model_copy(update={**facts, "tests": tests, "timing": timing, "protocols": protocols, "status": "ok"})


def _train(study: Study, cell: Cell, model: nn.Module, fabric: Fabric, watcher: Watcher) -> Outcome:
    import pandas as pd

    from benchmark.execution.device_processes import crew
    from benchmark.training.loop import train
    from benchmark.training.state import Keeper

    data = training_pools(study, cell, watcher)
    paths = study.layout.cell(cell.id)
    keeper = Keeper(paths.last, owner=cell.id, every_s=study.request.checkpoint_every_s, say=watcher.message)
    together = crew(study, cell) if study.request.devices > 1 else nullcontext(fabric)
    with Sampler() as sampler, together as training_fabric:
        outcome = train(
            model,
            cell.recipe,
            data,
            seed=cell.seed,
            fabric=training_fabric,
            keeper=keeper,
            on_step=watcher.step,
            on_epoch=watcher.epoch,
        )
    if study.request.devices > 1:
        outcome.facts["devices"] = study.request.devices
    if sampler.rows:
        io.write_text(paths.system, pd.DataFrame(sampler.rows).to_csv(index=False))
    return outcome


def _weights_used(model: nn.Module) -> dict[str, Any]:
    """Whether the network started from ImageNet weights and from which; {} for one that does not tell."""
    if not hasattr(model, "weights_info"):
        return {}
    info: dict[str, Any] = dict(model.weights_info or {})  # type: ignore[arg-type]
    return {"used": bool(info), **info}


def _training_facts(outcome: Outcome, watcher: Watcher, paths: CellPaths, model: nn.Module) -> dict[str, Any]:
    import pandas as pd

    io.write_text(paths.history, pd.DataFrame(outcome.history).to_csv(index=False, float_format="%.10g"))
    digest = save_weights(paths.best, model.state_dict()) if outcome.status == "ok" else None
    chosen = next((row for row in outcome.history if row["epoch"] == outcome.best_epoch), {})
    return {
        "best_epoch": outcome.best_epoch or None,
        "best_sha256": digest,
        "val": {key: value for key, value in chosen.items() if key.startswith("val_")},
        "training": outcome.facts,
        "timing": {"train_s": outcome.seconds, "images_per_s": outcome.images_per_s},
    }


def _draft(study: Study, cell: Cell) -> Record:
    return Record(
        cell=cell.id,
        model=cell.spec.name,
        model_title=cell.spec.title,
        model_options=cell.spec.options,
        ablation=list(cell.ablation),
        recipe_name=cell.recipe.name,
        recipe=cell.recipe.model_dump(mode="json"),
        recipe_hash=cell.recipe.hash,
        split=study.info,
        seed=cell.seed,
        status="failed",
        synthetic=study.synthetic,
        engine=study.request.engine,
        missing=dict(study.split.missing),
        partial=dict(study.split.partial),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _is_disk_trouble(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in io.FULL
    return isinstance(error.__cause__, OSError)
