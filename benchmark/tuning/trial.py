"""One trial: draw a recipe, train it, score it on the validation images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmark.config import Recipe, derive_seed
from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.recipes.read import validate_recipe
from benchmark.runtime.determinism import deterministic, in_words
from benchmark.runtime.device import make_fabric
from benchmark.training.loop import train
from benchmark.training.state import Keeper
from benchmark.training.steps import TooLargeError
from benchmark.tuning.plan import Target, Tuning
from benchmark.tuning.slots import earlier_reports

if TYPE_CHECKING:
    from optuna.trial import Trial

    from benchmark.study.events import Events


@dataclass(frozen=True)
class Ended:
    """How a trial ended: its score, or None with the reason for which it was stopped."""

    score: float | None
    reason: str = ""


def trial_recipe(tuning: Tuning, target: Target, trial: Trial) -> Recipe:
    """Draw the searched fields; those that do not apply to the model keep the base recipe's value."""
    base, spec = target.cell.recipe, target.cell.spec
    drawn = {f: one.suggest(trial, f) for f, one in tuning.space.of(takes_encoder=spec.takes_encoder).items()}
    return validate_recipe({**base.model_dump(), "tuned_trials": None, **drawn}, where=f"trial {trial.number}")


def trial_seed(seed: int, slot: int) -> int:
    """Return the seed of a trial's weights, order and augmentation: equal for all models."""
    return derive_seed("tune", seed, slot) % 2**31


def run_trial(tuning: Tuning, target: Target, trial: Trial, events: Events) -> Ended:
    """Train one draw and return its best validation score.

    Raises:
        BenchError: Device, weights, images or disk: the next trial would fail alike.
        KeyboardInterrupt: Stopped by a signal; what was trained so far is on disk.
    """
    import optuna
    import torch

    slot = trial.user_attrs["slot"]
    recipe = trial_recipe(tuning, target, trial)
    cell = replace(target.cell, recipe=recipe, seed=trial_seed(tuning.seed, slot))
    path = tuning.images.layout.trial_state(target.study, slot)
    keeper = Keeper(
        path,
        owner=f"{target.study}/{slot}/{recipe.hash}",
        every_s=tuning.asked.request.checkpoint_every_s,
        say=events.notice,
    )

    earlier = earlier_reports(trial)

    def on_epoch(row: dict[str, float]) -> None:
        events.epoch(row)
        if row["epoch"] not in earlier:  # it is where the state on disk is older than the last report
            trial.report(row[recipe.select_metric], int(row["epoch"]))
        if row["epoch"] < recipe.epochs and trial.should_prune():
            raise optuna.TrialPruned

    fabric = make_fabric(tuning.asked.request.device, recipe)
    torch.manual_seed(derive_seed("init", cell.seed))
    for epoch, score in earlier.items():
        trial.report(score, epoch)
    try:
        model = build_network(
            cell.spec, cell.recipe, drop=cell.ablation, weights=cell.weights, pretrained=recipe.pretrained
        )
        with deterministic(tuning.asked.request.deterministic, fabric.device) as unsteady:
            outcome = train(
                model,
                recipe,
                tuning.images.training_images(recipe, cell.seed).pools(recipe, events.phase),
                seed=cell.seed,
                fabric=fabric,
                keeper=keeper,
                on_step=events.step,
                on_epoch=on_epoch,
            )
    except optuna.TrialPruned:
        path.unlink(missing_ok=True)
        return Ended(None, "pruned: below the median of the others")
    except TooLargeError as error:  # fails this draw only
        path.unlink(missing_ok=True)
        return Ended(None, f"failed: {error}")
    except (BenchError, OSError):
        raise
    except Exception as error:  # fails this draw only
        path.unlink(missing_ok=True)
        return Ended(None, f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    path.unlink(missing_ok=True)
    if unsteady:
        events.notice(in_words(unsteady))
    if outcome.status != "ok":
        return Ended(None, f"diverged: {outcome.error}")
    return Ended(_score(outcome.history, recipe))


def _score(history: list[dict[str, Any]], recipe: Recipe) -> float:
    """Return the score of the checkpoint that the recipe would keep."""
    scores = [float(row[recipe.select_metric]) for row in history]
    return max(scores) if recipe.select == "best" else scores[-1]
