"""From a request to one study per model, on training and validation images only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.config import Recipe, config_hash
from benchmark.data.listing.datasets import dataset_info
from benchmark.errors import BenchError
from benchmark.store.layout import ResultsLayout
from benchmark.study.cells import Cell
from benchmark.study.plan import Request, Study, describe_split, find_split, name_cells, resolve_models
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
    """One model: its base cell and the name of its study, which depends on everything that may change a trial."""

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


def plan_tuning(asked: Asked, notice: Callable[[str], None] = lambda _: None) -> Tuning:
    """Resolve names, find training and validation images and name the studies; nothing is trained or written.

    Raises:
        BenchError: Unknown names, a space that does not fit, no validation images, or a recipe that trains on them.
    """
    request, space = asked.request, load_space(asked.space)
    if asked.trials < 1:
        raise BenchError(f"--trials {asked.trials}: expected at least 1")
    models = resolve_models(request)
    for _, recipe in models:
        _check(recipe, space)
    split = replace(find_split(request), tests={})
    if not split.val:
        raise BenchError(f"split {split.name}: no validation images to score trials on; choose another --split")
    notice("reading files: fingerprints of training and validation images")
    info = describe_split(split)
    cells = name_cells(replace(request, seeds=request.seeds[:1]), models, info)
    images = Study(request, tuple(cells), split, info, {}, ResultsLayout(request.results))
    digest = config_hash({"space": space.hash})
    return Tuning(asked, space, images, tuple(Target(cell, f"{cell.id}/{digest}") for cell in cells))


def _check(recipe: Recipe, space: Space) -> None:
    if recipe.trains_on_all:
        raise BenchError(
            f"recipe {recipe.name} trains on the validation images (select = {recipe.select}), so they cannot judge a "
            "trial; add --set select=best"
        )
    space.check(recipe)
