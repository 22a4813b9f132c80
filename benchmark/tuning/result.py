"""Results of a tuning: recipes for `bench run --recipe`, a table of all trials, and figures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config import Recipe
from benchmark.errors import BenchError, visible
from benchmark.recipes.as_toml import toml_value
from benchmark.recipes.read import load_recipe, validate_recipe
from benchmark.store import io
from benchmark.tuning.plan import Target, Tuning
from benchmark.untrusted import parse_json

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from benchmark.tuning.slots import Slots

TrialRow = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """Results of one model's trials."""

    target: Target
    fields: dict[str, Any]
    score: float
    trials: int
    rows: list[TrialRow]

    @property
    def recipe(self) -> Recipe:
        """The base recipe with the fields that were found, and the number of trials."""
        base = self.target.cell.recipe.model_dump()
        return validate_recipe({**base, **self.fields, "tuned_trials": self.trials}, where="tuned recipe")


def collect(tuning: Tuning, slots: Sequence[Slots]) -> list[Found]:
    """Read the best trial of every model.

    Raises:
        BenchError: No trial of a model finished.
    """
    found = []
    for target, ours in zip(tuning.targets, slots, strict=True):
        finished = ours.finished()
        rows = [_row(tuning, target, slot, trial) for slot, trial in finished.items()]
        scored = [row for row in rows if row["score"] is not None]
        if not scored:
            reasons = "; ".join(dict.fromkeys(str(row["ended"]) for row in rows))
            raise BenchError(f"model {target.cell.spec.name}: none of its {len(rows)} trials finished: {reasons}")
        best = max(scored, key=lambda row: (row["score"], -row["slot"]))
        found.append(Found(target, best["fields"], best["score"], len(finished), rows))
    return found


def _row(tuning: Tuning, target: Target, slot: int, trial: FrozenTrial) -> TrialRow:
    dims = tuning.space.search
    strange = [field for field in trial.params if field not in dims]
    if strange:
        raise BenchError(f"study {target.study}: trial {trial.number} has {strange[0]!r}, which is not searched")
    try:
        fields = {f: parse_json(v) if dims[f].choices is not None else v for f, v in trial.params.items()}
        for field, value in fields.items():  # a choice may name a file; an untrusted study must not
            if dims[field].choices is not None and value not in (dims[field].choices or ()):
                raise ValueError(f"{field} = {value!r} is not among the choices")
        score = _finite(trial.value) if trial.state.name == "COMPLETE" else None
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise BenchError(f"study {target.study}: trial {trial.number} holds an invalid value ({error})") from None
    return {
        "model": target.cell.spec.name,
        "slot": slot,
        "state": trial.state.name.lower(),
        "score": score,
        "fields": fields,
        "epochs": len(trial.intermediate_values),
        "seconds": trial.user_attrs.get("seconds"),
        "ended": visible(str(trial.user_attrs.get("ended", ""))),
    }


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"the score {value!r} is not a number")
    return float(value)


def write_results(tuning: Tuning, found: Sequence[Found]) -> list[Path]:
    """Write ``tuned-<model>.toml`` for each model, ``tuned.toml`` for all, and ``trials.csv``."""
    layout = tuning.images.layout
    texts = {layout.tuned(one.target.cell.spec.name): _recipe_text(tuning, [one], alone=True) for one in found}
    texts[layout.tuned(None)] = _recipe_text(tuning, found, alone=False)
    for path, text in texts.items():
        io.write_text(path, text)
    for one in found:  # check that a run can read what was written
        name = one.target.cell.spec.name
        for path in (layout.tuned(name), layout.tuned(None)):
            assert load_recipe(str(path), model=name).hash == one.recipe.hash
    table = layout.tuning / "trials.csv"
    io.write_text(table, _trials_csv(found))
    return [*texts, table]


_BUDGET = ("epochs", "max_train_images", "max_val_images", "max_test_images")


def used_of(count: int, limit: int | None) -> str:
    """Word how many of some images are used: ``16 of 70``, or ``70``."""
    return f"{limit} of {count}" if limit is not None and limit < count else str(count)


def _recipe_text(tuning: Tuning, found: Sequence[Found], *, alone: bool) -> str:
    request = tuning.asked.request
    info, base = tuning.images.info, found[0].target.cell.recipe
    train, val = used_of(info.num_train, base.max_train_images), used_of(info.num_val, base.max_val_images)
    lines = [
        f"# Found by: {tuning.asked.command}",
        f"# Base recipe {request.recipe}; search space {tuning.space.hash}; split {info.name} (seed {info.seed}), "
        f"{train} training and {val} validation images; no test image was read.",
    ]
    own = [f"{field} = {request.overrides[field]}" for field in _BUDGET if field in request.overrides]
    if own:
        lines.append(
            f"# {', '.join(own)}: the tuning's own, below too; for the final training give others, as --set epochs=120"
        )
    if tuning.synthetic:
        lines.append("# Tuned on SYNTHETIC images (phantom): it says nothing about real polyps.")
    for one in found:
        pruned = sum(row["state"] == "pruned" for row in one.rows)
        lines.append(
            f"# {one.target.cell.spec.name}: {one.trials} trials ({pruned} stopped early), best "
            f"{one.recipe.select_metric} {one.score:.4f} on validation"
        )
    for one in found:
        name = json.dumps(one.target.cell.spec.name)
        fields = _differing(one.recipe)
        if alone:  # for other models the same fields, but they were not tuned for those
            lines += ["", *_toml(fields), "", f"[models.{name}]", f"tuned_trials = {one.trials}"]
        else:
            lines += ["", f"[models.{name}]", *_toml({**fields, "tuned_trials": one.trials})]
    return "\n".join(lines) + "\n"


def _differing(recipe: Recipe) -> dict[str, Any]:
    """Return the fields that differ from a recipe's defaults."""
    plain = Recipe().model_dump(mode="json")  # type: ignore[call-arg]
    fields = recipe.model_dump(mode="json", exclude={"name", "tuned_trials"})
    return {key: value for key, value in fields.items() if value != plain[key]}


def _toml(fields: dict[str, Any]) -> list[str]:
    return [f"{key} = {toml_value(value)}" for key, value in fields.items()]


def _trials_csv(found: Sequence[Found]) -> str:
    import pandas as pd

    rows = [
        {**{k: v for k, v in row.items() if k != "fields"}, **{k: json.dumps(v) for k, v in row["fields"].items()}}
        for one in found
        for row in one.rows
    ]
    return pd.DataFrame(rows).to_csv(index=False)
