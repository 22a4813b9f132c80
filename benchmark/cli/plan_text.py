"""The plan of a study as text: what `bench run` and `bench ablate` print before they start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmark.cli.printing import say

if TYPE_CHECKING:
    from benchmark.config import Recipe
    from benchmark.data.audit.leaks import Leak
    from benchmark.execution.ablation import Proof
    from benchmark.study.plan import Study


_LEFT_TO_DEVICE = ("auto", "auto", "auto", "auto", None)


def print_plan(study: Study, time_first: bool) -> None:
    """Print the plan: cells, recipes, split, test sets with their leaks, protocols, time."""
    request, info = study.request, study.info
    recipe = study.cells[0].recipe
    names = list(dict.fromkeys(cell.spec.title for cell in study.cells))
    lines = [
        f"cells      {len(study.cells)}: {', '.join(names)}; seeds {', '.join(map(str, dict.fromkeys(request.seeds)))}",
        *_recipe_lines(study),
        *_compute_lines(study),
        f"split      {info.name} (seed {info.seed}): {_of(info.num_train, recipe.max_train_images)} to train, "
        f"{_of(info.num_val, recipe.max_val_images)} to validate (they select the checkpoint)",
        *_notices(study),
    ]
    for name, items in study.split.tests.items():
        leak = _leaks(study.leaks.get(name, []))
        lines.append(f"test       {name}: {_of(len(items), recipe.max_test_images)} images{leak}")
    lines += [f"partial    {name}: {reason}" for name, reason in study.split.partial.items()]
    lines += [f"missing    {name}: {reason}" for name, reason in study.split.missing.items()]
    first, *others = (protocol.label for protocol in request.protocols.values())
    lines.append(f"protocol   {first}; scored in the same pass: {', '.join(others)}")
    if study.synthetic:
        lines.append("note       synthetic images: these scores say nothing about real polyps")
    if time_first:
        from benchmark.costs.time_ahead import as_text, estimate
        from benchmark.study.reuse import is_finished

        todo = [cell for cell in study.cells if not is_finished(study, cell)]
        done = len(study.cells) - len(todo)
        if not todo:
            lines.append(f"estimate   nothing to train: all {done} cells are finished")
        else:
            guess = estimate(study, todo)
            slowest = max(guess.per_model, key=guess.per_model.__getitem__)
            kept = f" for {len(todo)} cells; {done} are finished" if done else ""
            why = f"from timed steps; the slowest model is {slowest}"
            lines.append(f"estimate   about {as_text(guess.total_s)}{kept} ({why})")
    for line in lines:
        say(line)


def proof_lines(proofs: Sequence[Proof]) -> list[str]:
    """Return one line per variant on what it changes."""
    lines = []
    for proof in proofs:
        name = "without " + ", ".join(proof.drop) if proof.drop else "full model"
        change = f", output changes by up to {proof.output_change:.3g}" if proof.drop else ""
        lines.append(f"proof      {name}: {proof.num_params:,} parameters, {proof.gmacs:.3f} GMACs{change}")
    return lines


def _recipe_lines(study: Study) -> list[str]:
    """One line for a recipe that all models share, else one for each of its forms with the models that take it."""
    models: dict[str, list[str]] = {}
    texts = {}
    for cell in study.cells:
        recipe = cell.recipe
        weights = "ImageNet weights" if recipe.pretrained else "random initialisation"
        weights = f"from {study.request.init_from}" if cell.start is not None else weights
        texts[recipe.hash] = (
            f"recipe     {recipe.name}: {recipe.image_size} px, batch {recipe.batch_size}, {_epochs(recipe)}, "
            f"{recipe.optimizer} {recipe.lr:g}, loss {recipe.loss}, {weights}"
        )
        if recipe.transforms:
            texts[recipe.hash] += f", transforms {', '.join(one['name'] for one in recipe.transforms)}"
        models.setdefault(recipe.hash, []).append(cell.spec.title)
    if len(texts) == 1:
        return list(texts.values())
    return [f"{text} ({', '.join(dict.fromkeys(models[key]))})" for key, text in texts.items()]


def _epochs(recipe: Recipe) -> str:
    if recipe.patience is None:
        return f"{recipe.epochs} epochs"
    return f"at most {recipe.epochs} epochs (ends after {recipe.patience} without a better one)"


def _compute_lines(study: Study) -> list[str]:
    """How the device will compute, where that is not plain 32-bit arithmetic over whole batches."""
    recipes = {cell.recipe.hash: cell.recipe for cell in study.cells}.values()
    asked = any((r.precision, r.channels_last, r.compile, r.tf32, r.micro_batch) != _LEFT_TO_DEVICE for r in recipes)
    if study.request.device == "cpu" and not asked:
        return []  # decided without loading torch
    from benchmark.runtime.compute import resolve
    from benchmark.runtime.device import make_fabric

    texts: dict[str, None] = {}
    for recipe in recipes:
        device = make_fabric(study.request.device, recipe).device
        passes = f", {recipe.micro_batch} images a pass" if recipe.micro_batch else ""
        texts[f"compute    {device.type}: {resolve(recipe, device).in_words()}{passes}"] = None
    return list(texts) if list(texts) != ["compute    cpu: 32-true"] else []


def _notices(study: Study) -> list[str]:
    """Return notes on recipe fields that some of the models do not follow, and on options without effect."""
    kept = dict.fromkeys(c.spec.title for c in study.cells if c.recipe.encoder and not c.spec.takes_encoder)
    whole = dict.fromkeys(c.spec.title for c in study.cells if c.recipe.select == "last_all")
    lines = _ignored(study)
    if kept:
        asked = next(cell.recipe.encoder for cell in study.cells if cell.recipe.encoder)
        lines.append(f"note       encoder {asked} does not apply to {', '.join(kept)}: each keeps its own encoder")
    for cell in {c.spec.name: c for c in study.cells if c.recipe.test_selection}.values():
        sets = ", ".join(cell.recipe.test_selection)
        lines.append(
            f"note       {cell.spec.title}: checkpoint picked on test images of {sets}; its scores are optimistic"
        )
    lines += _starts(study)
    if whole:
        lines.append(
            f"note       {', '.join(whole)}: trained on the validation images too, last epoch kept (select last_all)"
        )
    return lines


def _starts(study: Study) -> list[str]:
    """Say from which cells others go on, and that leaks are looked for in this study's training images alone."""
    starts = [(cell, cell.start) for cell in study.cells if cell.start is not None]
    lines = [
        f"continues  {start.cell} (epoch {start.epoch}) as {cell.id}: {cell.recipe.epochs} further epochs; optimiser "
        "and schedule start over"
        for cell, start in starts
        if start.cell is not None
    ]
    files = dict.fromkeys(start.path.name for _, start in starts if start.split is None)
    other = dict.fromkeys(str(start.cell) for _, start in starts if start.split not in (None, study.info))
    if files or other:
        lines.append(
            f"note       {', '.join([*files, *other])}: trained on other images before, which the search for leaks "
            "cannot see"
        )
    return lines


def _ignored(study: Study) -> list[str]:
    """Return notes on options of the command line that have no effect here."""
    from benchmark.recipes.idle import idle_fields

    models: dict[tuple[str, str], dict[str, None]] = {}
    for cell in study.cells:
        for name, needs in idle_fields(cell.recipe, study.request.overrides).items():
            models.setdefault((name, needs), {})[cell.spec.title] = None
    everyone = len({cell.spec.title for cell in study.cells})
    lines = [
        f"ignored    --set {name}{'' if len(of) == everyone else ' for ' + ', '.join(of)}: it needs {needs}"
        for (name, needs), of in models.items()
    ]
    if study.request.weights_dir is not None and not any(cell.recipe.pretrained for cell in study.cells):
        lines.append("ignored    --weights-dir: no cell starts from ImageNet weights (--set pretrained=true)")
    return lines


def _leaks(found: Sequence[Leak]) -> str:
    """Count the leaked test images by kind; of the whole set, even where only some are scored."""
    words = {"exact": "also in training", "near": "near-duplicates", "sequence": "of a training sequence or scene"}
    counts = {kind: sum(leak.kind == kind for leak in found) for kind in words}
    return "".join(f", {number} {words[kind]}" for kind, number in counts.items() if number)


def _of(count: int, limit: int | None) -> str:
    return f"{limit} of {count}" if limit is not None and limit < count else str(count)


def _leak_counts(study: Study) -> dict[str, dict[str, int]]:
    """``num_leaked`` and ``num_leaked_<kind>``, each by test set."""
    from benchmark.data.audit.leaks import count_leaks

    by_set = {name: count_leaks(found) for name, found in study.leaks.items()}
    return {key: {name: counts[key] for name, counts in by_set.items()} for key in count_leaks(())}


def plan_json(study: Study) -> dict[str, Any]:
    """Return the plan for ``--dry-run --json``."""
    return {
        "cells": [cell.id for cell in study.cells],
        "split": study.info.model_dump(),
        "tests": {name: len(items) for name, items in study.split.tests.items()},
        "missing": study.split.missing,
        **_leak_counts(study),
        "leaks": {name: [leak._asdict() for leak in found] for name, found in study.leaks.items()},
    }
