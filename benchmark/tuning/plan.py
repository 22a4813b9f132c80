"""From what the user asked for to one study per model, on training and validation images alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.config import Recipe, config_hash, load_recipe
from benchmark.data.listing.datasets import dataset_info
from benchmark.data.pixels.cache import fingerprint
from benchmark.data.splits.choose import obtain_split
from benchmark.errors import BenchError
from benchmark.models.registry import expand_models
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import SplitInfo
from benchmark.study.plan import Cell, Request, Study, make_cell, weights_file
from benchmark.tuning.space import Space, load_space


@dataclass(frozen=True)
class Asked:
    """The options of ``bench tune``.

    Attributes:
        request: Models, data, base recipe; its first seed decides every draw.
        trials: Finished or pruned trials per model.
        space: TOML of the search space; the packaged one if None.
        storage: URL of a database, or a journal file; a journal in the results folder if None.
        command: As typed, for the head of the recipe.
    """

    request: Request
    trials: int
    space: Path | None = None
    storage: str | None = None
    command: str = "bench tune"


@dataclass(frozen=True)
class Target:
    """One model: its base cell and the name of its study, which says all that may change a trial."""

    cell: Cell
    study: str


@dataclass(frozen=True)
class Tuning:
    """The plan. ``images`` holds no test set, so no test image can be touched."""

    asked: Asked
    space: Space
    images: Study
    targets: tuple[Target, ...]

    @property
    def seed(self) -> int:
        """Decides sampling, initial weights and order of every trial, together with the trial's slot."""
        return self.asked.request.seeds[0]

    @property
    def synthetic(self) -> bool:
        """Whether any image is procedural."""
        items = (*self.images.split.train, *self.images.split.val)
        return any(dataset_info(name).synthetic for name in {item.dataset for item in items})


def plan_tuning(asked: Asked, say: Callable[[str], None] = lambda _: None) -> Tuning:
    """Resolve names, find training and validation images and name the studies; nothing is trained or written.

    Raises:
        BenchError: Unknown names, a space that does not fit, no validation images, or a recipe that trains on them.
    """
    request, space = asked.request, load_space(asked.space)
    if asked.trials < 1:
        raise BenchError(f"--trials {asked.trials}: expected at least 1")
    specs = expand_models(list(request.models))
    recipes = {spec.name: load_recipe(request.recipe, model=spec.name, overrides=request.overrides) for spec in specs}
    for recipe in recipes.values():
        _check(recipe, space)
    split = obtain_split(
        request.split,
        list(request.datasets),
        root=request.data_root,
        seed=request.split_seed,
        allow_missing=request.allow_missing,
        cache_dir=request.cache_dir,
    )
    split = replace(split, tests={})
    if not split.val:
        raise BenchError(f"split {split.name}: no validation images to judge trials by; choose another --split")
    say("reading files: fingerprints of training and validation images")
    info = SplitInfo(
        name=split.name,
        seed=split.seed,
        num_train=len(split.train),
        num_val=len(split.val),
        fingerprint_train=fingerprint(split.train),
        fingerprint_val=fingerprint(split.val),
    )
    cells = []
    for spec in specs:
        weights = weights_file(request, spec, recipes)
        cells.append(make_cell(spec, recipes[spec.name], info, seed=request.seeds[0], ablation=(), weights=weights))
    images = Study(request, tuple(cells), split, info, {}, ResultsLayout(request.results))
    digest = config_hash({"space": space.hash})
    return Tuning(asked, space, images, tuple(Target(cell, f"{cell.id}/{digest}") for cell in cells))


def _check(recipe: Recipe, space: Space) -> None:
    if recipe.select == "last_all":
        raise BenchError(
            f"recipe {recipe.name} trains on the validation images (select = last_all), so they cannot judge a trial; "
            "add --set select=best"
        )
    space.check(recipe)
