"""One cell: train it, score it on every test set, and record how it ended."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmark.config import derive_seed
from benchmark.errors import BenchError
from benchmark.models.build import build_network, run_environment
from benchmark.models.registry import load_checkpoint, switches
from benchmark.models.summary import live_parameters, model_summary
from benchmark.runtime import environment
from benchmark.runtime.device import make_fabric
from benchmark.runtime.load import Sampler
from benchmark.scoring.test_sets import score_network
from benchmark.store import io
from benchmark.store.checkpoint import load_weights, save_weights
from benchmark.store.layout import CellPaths
from benchmark.store.schema import PRETRAINING, Record, Status
from benchmark.study.cells import Cell, own_code_hashes
from benchmark.study.events import Events
from benchmark.study.images import TestImages, TrainingImages
from benchmark.study.plan import Study
from benchmark.study.reuse import agrees, covers, is_trained, old_record, refreshed
from benchmark.study.scoring import Scoring

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn

    from benchmark.training.loop import Outcome

_OF_TRAINING = ("best_epoch", "best_sha256", "val", "timing", "pretrained", "environment", "training")


def run_cell(study: Study, cell: Cell, events: Events) -> tuple[Record, bool]:
    """Train, predict and score one cell, or keep what is there.

    Returns:
        The record, and whether it is an earlier one that is still valid.
    Raises:
        BenchError: The disk is full or the results folder cannot be written, which the other cells would meet too.
        KeyboardInterrupt: After the cell was recorded as interrupted.
    """
    try:
        io.drop_leftovers(study.layout.cell(cell.id).folder)
        return _run(study, cell, events)
    except (BenchError, OSError) as error:
        return unreachable(study, cell, error), False


def unreachable(study: Study, cell: Cell, error: Exception) -> Record:
    """Return the record, which no file holds, of a cell whose folder or lock cannot be used.

    Raises:
        BenchError: The error is not the cell's own: the others would meet it too.
    """
    if io.concerns_all(error, study.layout.root):
        raise error
    return _draft(study, cell).model_copy(update={"error": str(error)})


def _run(study: Study, cell: Cell, events: Events) -> tuple[Record, bool]:
    paths, request, split = study.layout.cell(cell.id), study.request, study.split
    tests = study.test_images(cell.recipe)
    old = old_record(paths, request.if_exists)
    if old is not None and covers(old, tests, request.scoring):
        return refreshed(paths, old, tests, split=split, train_sets=study.train_sets), True
    if request.if_exists != "resume" and (old is None or old.status != "ok"):
        paths.last.unlink(missing_ok=True)  # only "resume" continues an unfinished training
    draft = _draft(study, cell)
    job = CellJob(
        cell=cell,
        paths=paths,
        images=study.training_images(cell.recipe, cell.seed),
        tests=tests,
        scoring=request.scoring,
        device=request.device,
        devices=request.devices,
        deterministic=request.deterministic,
        checkpoint_every_s=request.checkpoint_every_s,
        trained=old if old is not None and is_trained(old, paths, request.if_exists) else None,
        scored=old if old is not None and agrees(old, request.scoring) else None,
    )
    try:
        record = job.complete(draft, events)
    except KeyboardInterrupt:
        with suppress(BenchError, OSError):
            _write_unfinished(paths, draft, old, "interrupted", "stopped by a signal")
        raise
    except (BenchError, OSError) as error:
        if io.concerns_all(error, study.layout.root):
            raise
        return _write_unfinished(paths, draft, old, "failed", str(error)), False
    except Exception as error:  # anything in a network or a recipe: the cell fails, the study continues
        events.notice(traceback.format_exc())
        return _write_unfinished(paths, draft, old, "failed", f"{type(error).__name__}: {error}"), False
    io.write_record(paths, record)
    return record, False


def _write_unfinished(paths: CellPaths, draft: Record, old: Record | None, status: Status, error: str) -> Record:
    """Record why a cell did not finish; earlier training and scores stay in the record."""
    ended = {"status": status, "error": error}
    if old is not None and old.status == "ok":
        return old.model_copy(update=ended)  # for this run's table; the finished record on disk is unchanged
    # a record of this very run (same start time) already holds the training's facts: keep them
    written = io.read_record(paths.record) if paths.record.is_file() else None
    base = written if written is not None and written.created == draft.created else draft
    record = base.model_copy(update=ended)
    io.write_record(paths, record)
    return record


@dataclass(frozen=True)
class CellJob:
    """The remaining work of one cell.

    Attributes:
        cell: Model, recipe, seed, dropped parts, starting weights.
        paths: Its files.
        images: What it trains and validates on.
        tests: What it is scored on.
        scoring: Engine and protocols.
        device: As the user gave it.
        devices: Processes that train it together.
        deterministic: Use torch's deterministic algorithms.
        checkpoint_every_s: Seconds between two checkpoints.
        trained: The record of its finished training, if there is one: it is not trained again.
        scored: A record whose scores of other test sets are kept.
    """

    cell: Cell
    paths: CellPaths
    images: TrainingImages
    tests: Mapping[str, TestImages]
    scoring: Scoring
    device: str
    devices: int
    deterministic: bool
    checkpoint_every_s: float
    trained: Record | None
    scored: Record | None

    def complete(self, draft: Record, events: Events) -> Record:
        """Train unless already trained, then predict and score; return the finished record."""
        from benchmark.runtime.determinism import deterministic

        fabric = make_fabric(self.device, self.cell.recipe)
        with deterministic(self.deterministic, fabric.device) as unsteady:
            return self._train_and_score(draft, events, fabric, unsteady)

    def _train_and_score(self, draft: Record, events: Events, fabric: Fabric, unsteady: list[str]) -> Record:
        import torch

        cell, paths, recipe = self.cell, self.paths, self.cell.recipe
        torch.manual_seed(derive_seed("init", cell.seed))
        fresh = self.trained is None
        pretrained = recipe.pretrained and fresh and cell.start is None
        model = build_network(cell.spec, recipe, drop=cell.ablation, weights=cell.weights, pretrained=pretrained)
        if cell.start is not None and fresh:
            load_checkpoint(cell.spec, model, cell.start.path, say=events.notice)
        facts: dict[str, Any] = {
            "num_params": live_parameters(model),
            "pretrained": _weights_used(model) if cell.start is None else cell.start.to_record(),
            "environment": run_environment(fabric, cell.spec),
        }
        if self.deterministic:  # the same list object, which fills while the cell runs
            facts["environment"]["nondeterministic"] = unsteady
        io.write_text(paths.summary, model_summary(model, cell.spec.title))
        if self.trained is not None:
            model.load_state_dict(load_weights(paths.best, self.trained.best_sha256))
            model.to(fabric.device)
            facts |= {key: getattr(self.trained, key) for key in _OF_TRAINING} | _parts(cell, self.trained.pretrained)
        else:
            paths.best.unlink(missing_ok=True)
            facts |= _parts(cell, facts["pretrained"])
            outcome = self._train(model, fabric, events)
            facts |= _training_facts(outcome, paths, model)
            if outcome.status != "ok":
                return draft.model_copy(update={**facts, "status": outcome.status, "error": outcome.error})
            # recorded as interrupted first: after a crash while scoring, the next run scores without training again
            waiting = {"status": "interrupted", "error": "trained; its test images are still to be scored"}
            io.write_record(paths, draft.model_copy(update={**facts, **waiting}))
        tests, seconds = score_network(
            model,
            recipe,
            self.tests,
            fabric=fabric,
            pixels=self.images.pixels,
            scoring=self.scoring,
            paths=paths,
            events=events,
            old=self.scored,
        )
        paths.last.unlink(missing_ok=True)  # kept until the scores exist; its optimiser states are large
        facts["timing"] = {**facts["timing"], **seconds}
        protocols = {**(self.scored.protocols if self.scored else {}), **self.scoring.hashes}
        own = {**(self.scored.own_protocols if self.scored else {}), **self.scoring.own}
        made = {"tests": tests, "protocols": protocols, "own_protocols": own, "status": "ok"}
        return draft.model_copy(update={**facts, **made})

    def _train(self, model: nn.Module, fabric: Fabric, events: Events) -> Outcome:
        import pandas as pd

        from benchmark.execution.device_processes import SharedTraining, crew
        from benchmark.training.loop import train
        from benchmark.training.state import Keeper

        cell, paths = self.cell, self.paths
        data = self.images.pools(cell.recipe, events.phase)
        keeper = Keeper(paths.last, owner=cell.id, every_s=self.checkpoint_every_s, say=events.notice)
        shared = SharedTraining(cell, self.images, paths.last, self.device, self.devices, self.deterministic)
        with Sampler() as sampler, crew(shared) if self.devices > 1 else nullcontext(fabric) as training_fabric:
            outcome = train(
                model,
                cell.recipe,
                data,
                seed=cell.draws_seed,
                fabric=training_fabric,
                keeper=keeper,
                on_step=events.step,
                on_epoch=events.epoch,
            )
        if self.devices > 1:
            outcome.facts["devices"] = self.devices
        if cell.recipe.test_selection:
            counts = Counter(item.dataset for item in self.images.val)
            outcome.facts["picked_on_test"] = dict(sorted(counts.items()))
        if cell.recipe.own_code:
            outcome.facts["own_code"] = own_code_hashes(cell.recipe)
        if len(cell.recipe.transforms) > sum(".py:" in one["name"] for one in cell.recipe.transforms):
            outcome.facts["albumentations"] = environment.version("albumentations")
        if sampler.rows:
            io.write_text(paths.system, pd.DataFrame(sampler.rows).to_csv(index=False))
        return outcome


def _weights_used(model: nn.Module) -> dict[str, Any]:
    """Return whether the network started from ImageNet weights, and which; {} for one that does not say."""
    if not hasattr(model, "weights_info"):
        return {}
    info: dict[str, Any] = dict(model.weights_info or {})  # type: ignore[arg-type]
    return {"used": bool(info), **info}


def _parts(cell: Cell, pretrained: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which declared parts the network has and which it lacks, weights that were not loaded among them."""
    declared = switches(cell.spec)
    off = [part for part in declared if part in cell.ablation or (part == PRETRAINING and not pretrained.get("used"))]
    return {"parts": [part for part in declared if part not in off], "parts_off": off}


def _training_facts(outcome: Outcome, paths: CellPaths, model: nn.Module) -> dict[str, Any]:
    import pandas as pd

    from benchmark.training.validate import switches_of

    io.write_text(paths.history, pd.DataFrame(outcome.history).to_csv(index=False, float_format="%.10g"))
    digest = save_weights(paths.best, model.state_dict()) if outcome.status == "ok" else None
    used = {part: bool(flag) for part, flag in switches_of(model).items()}
    chosen = next((row for row in outcome.history if row["epoch"] == outcome.best_epoch), {})
    return {
        "best_epoch": outcome.best_epoch or None,
        "best_sha256": digest,
        "val": {key: value for key, value in chosen.items() if key.startswith("val_")},
        "training": {**outcome.facts, "used_in_prediction": used} if used else outcome.facts,
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
        recipe=cell.recipe.to_record(),
        recipe_hash=cell.recipe.hash,
        split=study.info,
        train_sets=study.train_sets,
        seed=cell.seed,
        status="failed",
        synthetic=study.synthetic,
        engine=study.request.engine,
        missing=dict(study.split.missing),
        partial=dict(study.split.partial),
        pretrained=cell.start.to_record() if cell.start is not None else {},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
