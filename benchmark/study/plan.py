"""From a request to cells on images; nothing is trained or written here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from benchmark.config import Recipe
from benchmark.data.audit.leaks import Leak, find_leaks
from benchmark.data.files.hashing import fingerprint
from benchmark.data.listing.datasets import dataset_info
from benchmark.data.listing.items import Item
from benchmark.data.pixels.shared import SharedPixels
from benchmark.data.splits.choose import Split, obtain_split
from benchmark.errors import BenchError
from benchmark.metrics import Protocol, get_protocol
from benchmark.metrics.named import STANDARD
from benchmark.metrics.reference import check_reference
from benchmark.models.registry import ModelSpec, code_hash, expand_models, switches
from benchmark.recipes.read import load_recipe
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import SplitInfo
from benchmark.study.cells import Cell, make_cell, weights_file
from benchmark.study.images import (
    TestImages,
    TrainingImages,
    named_selection,
    picking_items,
    subset,
    subset_positions,
    training_images,
)
from benchmark.study.scoring import Scoring
from benchmark.study.start import Starts

IfExists = Literal["skip", "resume", "overwrite"]


@dataclass(frozen=True)
class Request:
    """What the user asked for; the fields are the options of ``bench run``.

    ``protocol`` is the one that is printed: a name, or a TOML file, which is then scored beside the named ones.
    """

    models: Sequence[str] = ("all",)
    datasets: Sequence[str] = ("polyp",)
    split: str = "paper"
    split_seed: int = 0
    recipe: str = "paper"
    overrides: dict[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = (0,)
    ablations: Sequence[tuple[str, ...]] = ((),)
    data_root: Path | None = None
    results: Path = Path("results")
    cache_dir: Path | None = None
    engine: str = "fast"
    if_exists: IfExists = "resume"
    allow_missing: bool = False
    device: str = "auto"
    protocol: str = "pranet"
    weights_dir: Path | None = None
    checkpoint_every_s: float = 60.0
    devices: int = 1
    deterministic: bool = False
    init_from: str | None = None

    @cached_property
    def protocols(self) -> dict[str, Protocol]:
        """Protocols scored in one pass: the named ones and the user's; py_sod_metrics supports two of them."""
        names = ("pranet", "half") if self.engine == "reference" else STANDARD
        own = get_protocol(self.protocol)
        asked = () if own.name in STANDARD else (own,)
        return {protocol.name: protocol for protocol in (*map(get_protocol, names), *asked)}

    @property
    def printed(self) -> Protocol:
        """The protocol whose figures are printed.

        Raises:
            BenchError: It is unknown, or the engine cannot follow it.
        """
        chosen = get_protocol(self.protocol)
        if self.engine == "reference":
            check_reference(chosen)
        return chosen

    @property
    def scoring(self) -> Scoring:
        """How cells are scored."""
        return Scoring(self.engine, tuple(self.protocols.values()), self.cache_dir)


@dataclass(frozen=True)
class Study:
    """The plan: which cells, on which images."""

    request: Request
    cells: tuple[Cell, ...]
    split: Split
    info: SplitInfo
    leaks: dict[str, list[Leak]]
    layout: ResultsLayout
    _tests: dict[int | None, dict[str, TestImages]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def synthetic(self) -> bool:
        """Whether any image is procedural."""
        return any(dataset_info(name).synthetic for name in self.split.tests)

    @property
    def train_sets(self) -> list[str]:
        """Datasets that training images come from."""
        return sorted({item.dataset for item in self.split.train})

    @cached_property
    def pixels(self) -> SharedPixels:
        """The pixels of every image that the split uses."""
        split = self.split
        parts = (split.train, split.val, *split.tests.values())
        return SharedPixels((item for part in parts for item in part), self.request.cache_dir)

    def training_images(self, recipe: Recipe, seed: int) -> TrainingImages:
        """Return the images that a recipe trains on with a seed, and validates on."""
        return training_images(self.split, recipe, seed, self.pixels)

    def test_images(self, recipe: Recipe) -> dict[str, TestImages]:
        """Return the images that a recipe is scored on, by test set."""
        limit = recipe.max_test_images
        if limit not in self._tests:  # cached: a grid of thousands of cells asks for the same few
            self._tests[limit] = {
                name: TestImages(subset(items, limit), len(items), self.leaks.get(name, ()))
                for name, items in self.split.tests.items()
            }
        return self._tests[limit]


def plan_study(request: Request, notice: Callable[[str], None] = lambda _: None) -> Study:
    """Resolve names, find the images, make the split and name the cells; nothing is trained or written.

    Args:
        request: What the user asked for.
        notice: Receives a line before each of the two steps that read every file.
    Raises:
        BenchError: Unknown model, dataset, recipe or field; a missing dataset; nothing to train on.
    """
    _ = request.printed  # raises: a wrong protocol is refused before any file is read
    models = resolve_models(request)
    for spec, _ in models:
        _check_ablations(spec, request.ablations)
    split = find_split(request)
    notice("reading files: fingerprints of training and validation images")
    info = describe_split(split)
    cells = name_cells(request, models, info, split)
    notice("comparing pixels of training and test images (kept for the next run)")
    leaks = find_leaks(_as_used(split, [recipe for _, recipe in models]), cache_dir=request.cache_dir)
    return Study(request, tuple(cells), split, info, leaks, ResultsLayout(request.results))


def resolve_models(request: Request) -> list[tuple[ModelSpec, Recipe]]:
    """Return the requested models, each with the recipe resolved for it.

    Raises:
        BenchError: An unknown model, recipe or field, or an empty request.
    """
    specs = expand_models(list(request.models))
    if not specs or not request.seeds or not request.datasets:
        raise BenchError("nothing to run: --models, --datasets and --seeds each need at least one name or number")
    recipes = (load_recipe(request.recipe, model=spec.name, overrides=request.overrides) for spec in specs)
    return [(spec, named_selection(recipe)) for spec, recipe in zip(specs, recipes, strict=True)]


def find_split(request: Request) -> Split:
    """Make or read the requested split of the images on disk."""
    return obtain_split(
        request.split,
        list(request.datasets),
        root=request.data_root,
        seed=request.split_seed,
        allow_missing=request.allow_missing,
        cache_dir=request.cache_dir,
    )


def describe_split(split: Split) -> SplitInfo:
    """Return the description of a split for a record; reads every training and validation image (fingerprints)."""
    return SplitInfo(
        name=split.name,
        seed=split.seed,
        num_train=len(split.train),
        num_val=len(split.val),
        fingerprint_train=fingerprint(split.train),
        fingerprint_val=fingerprint(split.val),
    )


def name_cells(
    request: Request,
    models: Sequence[tuple[ModelSpec, Recipe]],
    info: SplitInfo | None,
    split: Split | None = None,
) -> list[Cell]:
    """Return one cell per model, variant and seed; repeated seeds count once.

    Args:
        request: Variants, seeds, folder of weights.
        models: See ``resolve_models``.
        info: The split; None for cells that are only counted: they get no hash, and no file is read.
        split: Its images, for recipes that pick their checkpoint on test images.
    """
    cells = []
    starts = Starts(request.init_from, request.results) if request.init_from and info is not None else None
    for spec, recipe in models:
        picked = fingerprint(picking_items(split, recipe)) if recipe.test_selection and split is not None else ""
        wanted = info is not None and starts is None
        weights = weights_file(request.weights_dir, spec, recipe) if wanted else None
        code = code_hash(spec) if info is not None else None  # once: the files that it imports are looked for
        for ablation in request.ablations:
            for seed in dict.fromkeys(request.seeds):
                if info is not None:
                    start = starts.of(spec, seed) if starts is not None else None
                    files: dict[str, Any] = {"code": code, "weights": weights, "start": start, "picked": picked}
                    cells.append(make_cell(spec, recipe, info, seed=seed, ablation=ablation, **files))
                else:
                    cells.append(Cell("/".join([spec.name, *ablation, str(seed)]), spec, recipe, seed, ablation))
    return cells


def _as_used(split: Split, recipes: Sequence[Recipe]) -> Split:
    """Return the split with only the images that some recipe uses: an image that no network sees cannot leak.

    All of them where a limit counts over both parts, or where seeds draw: what a record says of leaks must not depend
    on which other seeds a command names.
    """

    if any(recipe.trains_on_all or recipe.train_subset == "seed" for recipe in recipes):
        return split

    def taken(items: Sequence[Item], limits: Sequence[int | None]) -> tuple[Item, ...]:
        positions = {i for limit in limits for i in subset_positions(len(items), limit)}
        return tuple(items[i] for i in sorted(positions))

    return replace(
        split,
        train=taken(split.train, [recipe.max_train_images for recipe in recipes]),
        val=taken(split.val, [recipe.max_val_images for recipe in recipes]),
    )


def _check_ablations(spec: ModelSpec, ablations: Sequence[tuple[str, ...]]) -> None:
    wanted = {part for ablation in ablations for part in ablation}
    known = switches(spec) if wanted else {}
    for part in sorted(wanted - set(known)):
        raise BenchError(f"model {spec.name}: no part {part!r} to drop; its parts are {', '.join(known) or 'none'}")
