"""Figures of a tuning's results."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.report.figures.style import save_figure
from benchmark.report.figures.tuning import tuning_history, tuning_importance
from benchmark.tuning.plan import Tuning
from benchmark.tuning.result import Found

if TYPE_CHECKING:
    from benchmark.tuning.slots import Slots

_FEWEST_SCORES = 5  # fewer do not show the importance of a field
_MEASURES = {"val_dice_half": "Dice at 0.5", "val_mdsc": "mDSC", "val_iou_mean": "mean IoU"}


def draw_tuning(
    tuning: Tuning, found: Sequence[Found], slots: Sequence[Slots], say: Callable[[str], None]
) -> list[Path]:
    """Write ``history`` and, with enough trials, ``importance`` as PDF and PNG."""
    folder, note = tuning.images.layout.tuning, _note(tuning, found)
    scores = {_name(one): [row["score"] for row in one.rows] for one in found}
    measure = _MEASURES[found[0].recipe.select_metric]
    written = save_figure(tuning_history(scores, measure=measure, note=note), folder, "history")
    shares = {_name(one): share for one, ours in zip(found, slots, strict=True) if (share := importances(ours))}
    if shares:
        return written + save_figure(tuning_importance(shares, note=f"PED-ANOVA. {note}"), folder, "importance")
    for suffix in ("pdf", "png"):
        (folder / f"importance.{suffix}").unlink(missing_ok=True)  # of fewer or other trials
    say(f"importance is not drawn: no model has {_FEWEST_SCORES} trials with different scores; increase --trials")
    return written


def _name(one: Found) -> str:
    spec = one.target.cell.spec
    return spec.title if spec.path is not None else spec.name


def importances(ours: Slots) -> dict[str, float]:
    """Share of each field in the variance of scores by PED-ANOVA; {} if the trials do not determine it."""
    import optuna

    if len({trial.value for trial in ours.finished().values() if trial.state.name == "COMPLETE"}) < _FEWEST_SCORES:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            found = optuna.importance.get_param_importances(ours.study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # a field that never varied
        return {}
    return {field: float(share) for field, share in found.items() if share == share}


def _note(tuning: Tuning, found: Sequence[Found]) -> str:
    info, request = tuning.images.info, tuning.asked.request
    counts = sorted({one.trials for one in found})
    number = " or ".join(map(str, counts))
    text = f"{number} trials per model, recipe {request.recipe}, split {info.name} (seed {info.seed}), "
    text += f"{info.num_val} validation images."
    return f"{text} Synthetic images: these scores say nothing about real polyps." if tuning.synthetic else text
