"""The network to predict with: a cell's best weights, or a released checkpoint; with its test-time processing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.config import Recipe
from benchmark.data.pixels.resize import resize_image
from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.models.registry import ModelSpec, code_hash, get_spec, load_checkpoint
from benchmark.prediction.maps import predict_at
from benchmark.recipes.read import load_recipe, validate_recipe
from benchmark.robustness.denoising.classical import get_front_end
from benchmark.runtime.device import make_fabric
from benchmark.store import io
from benchmark.store.cells import find_cell
from benchmark.store.checkpoint import load_weights
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.store.schema import Record

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn


@dataclass(frozen=True)
class Network:
    """A network ready to predict, and its origin.

    Attributes:
        title: For messages.
        spec: Its entry in the registry.
        recipe: Gives size, resampling, normalisation and test-time processing.
        synthetic: Whether it was trained or tested on procedural images; None if unknown.
    """

    model: nn.Module
    recipe: Recipe
    fabric: Fabric
    title: str
    spec: ModelSpec
    synthetic: bool | None = None

    def maps(self, images: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Maps of (H, W, 3) uint8 RGB images, each (H, W) uint8 at its image's own size: 255 x probability."""
        side, how = self.recipe.image_size, self.recipe.resize
        front_end = get_front_end(self.recipe.denoise)
        ready = images if front_end.name == "none" else [front_end(image) for image in images]
        batch = torch.from_numpy(np.stack([resize_image(image, side, how) for image in ready]))
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        return predict_at(self.model, self.recipe, batch, sizes, self.fabric)


def network_of_run(run: str, *, results: Path, model: str | None, device: str) -> Network:
    """Load a cell's best weights, checked against the record's checksum.

    Args:
        run: Folder that holds ``run.json``, or a cell below ``results/runs``, or a part of its name that fits one.
        results: Results folder.
        model: ``FILE.py:function`` of a cell whose network came from a file.
        device: As for ``bench run``.
    Raises:
        BenchError: No such cell, missing or different weights, or a network file whose text has changed.
    """
    paths = cell_of(run, results)
    record = io.read_record(paths.record)
    if record.origin or record.best_sha256 is None or not paths.best.is_file():
        why = record.origin or f"status {record.status}"
        raise BenchError(f"{paths.folder}: holds no trained weights ({why}); name a finished cell of bench run")
    spec = spec_of_record(record, model)
    recipe = validate_recipe(record.recipe, where=f"record {record.cell}")
    network = build_network(spec, recipe, drop=tuple(record.ablation), pretrained=False)
    try:
        network.load_state_dict(load_weights(paths.best, record.best_sha256))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise BenchError(f"{paths.best}: does not fit {spec.title} as it is built now ({reason})") from None
    fabric = make_fabric(device, recipe)
    return Network(
        network.to(fabric.device).eval(), recipe, fabric, f"{spec.title} ({record.cell})", spec, record.synthetic
    )


def network_of_checkpoint(
    model: str,
    checkpoint: Path,
    *,
    recipe: str | Recipe,
    overrides: Mapping[str, Any] | None = None,
    device: str,
    key: str | None = None,
    strip_prefix: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Network:
    """Load a released checkpoint, with the test-time processing of a recipe (its name, its file, or itself).

    ``key``, ``strip_prefix`` and ``say`` are those of ``registry.load_checkpoint``.

    Raises:
        BenchError: The file is missing, is not a plain tensor file, or its keys or shapes differ from the model's.
    """
    spec = get_spec(model)
    if not checkpoint.is_file():
        raise BenchError(f"--checkpoint {checkpoint}: not found; give a file of weights of {spec.title}")
    resolved = (
        recipe
        if isinstance(recipe, Recipe)
        else load_recipe(recipe, model=spec.name, overrides={**(overrides or {}), "pretrained": False})
    )
    network = build_network(spec, resolved, pretrained=False)
    load_checkpoint(spec, network, checkpoint, key=key, strip_prefix=strip_prefix, say=say)
    fabric = make_fabric(device, resolved)
    return Network(network.to(fabric.device).eval(), resolved, fabric, f"{spec.title} ({checkpoint.name})", spec)


def cell_of(run: str, results: Path) -> CellPaths:
    """The files of a cell, by its folder, its name or a part of its name that fits one.

    Raises:
        BenchError: No cell fits, or several do.
    """
    if (Path(run) / "run.json").is_file():
        return CellPaths(Path(run))
    layout = ResultsLayout(results)
    cells = sorted(path.parent.relative_to(layout.runs).as_posix() for path in layout.runs.rglob("run.json"))
    return layout.cell(find_cell(run, cells))


def spec_of_record(record: Record, model: str | None) -> ModelSpec:
    """Find the model that a record's weights belong to.

    Args:
        record: Of a trained cell.
        model: ``FILE.py:function`` of a network that came from a file.
    Raises:
        BenchError: The file is not named, has changed, or the cell was trained with another model.
    """
    if not record.model.startswith("file:"):
        if model is not None and get_spec(model).name != record.model:
            raise BenchError(f"--model {model}: the cell was trained with {record.model}; leave --model out")
        return get_spec(record.model, files=False)
    if model is None:
        raise BenchError(f"{record.cell}: its network came from a file; name it with --model FILE.py:function")
    spec = get_spec(model)
    stamp = (record.environment.get("code") or {}).get("model")
    if spec.name != record.model or (stamp is not None and stamp != code_hash(spec)):
        raise BenchError(f"--model {model}: not the file that {record.cell} was trained with; restore its text")
    return spec
