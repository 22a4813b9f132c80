"""Best checkpoints in MLflow's model registry, with signature, example and the code they need."""

from __future__ import annotations

import importlib.util
import inspect
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.models.registry import get_spec
from benchmark.recipes.read import validate_recipe
from benchmark.store.checkpoint import load_weights
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record
from benchmark.study.cells import Cell
from benchmark.tracking.connect import place_of
from benchmark.tracking.content import ended_ms

if TYPE_CHECKING:
    from torch import nn

    from benchmark.tracking.mirror import Mirror

_CODE = ("benchmark", "baselines", "bsanet")
_NEEDS = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy")
_EXAMPLE_PX = 64  # it is stored as text; the networks take every multiple of 32
_EXAMPLE_IMAGES = 2  # so that no dimension is squeezed and batch norm works


def load_network(layout: ResultsLayout, record: Record) -> nn.Module:
    """Build a cell's network and load its best weights, on the CPU, in evaluation mode.

    Raises:
        BenchError: The cell has no weights, or its model was a file that cannot be found by name.
    """
    best = layout.cell(record.cell).best
    if not best.is_file():
        raise BenchError(f"{best}: no such weights (status {record.status}); run the cell again to train it")
    if record.model.startswith("file:"):
        raise BenchError(f"{record.cell}: its network came from a file; offer it as entry point bench.models")
    recipe = validate_recipe(record.recipe, where=f"record {record.cell}")
    cell = Cell(record.cell, get_spec(record.model, files=False), recipe, record.seed, tuple(record.ablation))
    network = build_network(cell.spec, cell.recipe, drop=cell.ablation, pretrained=False)
    try:
        network.load_state_dict(load_weights(best, record.best_sha256))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise BenchError(f"{best}: does not fit {record.model} as it is built now ({reason})") from None
    return network.eval()


def register(mirror: Mirror, record: Record, name: str) -> str:
    """Put a cell's best checkpoint into the model registry, linked with its run.

    The registered model takes images normalised as the recipe says, (B, 3, H, W) float32, and returns the logits of the
    scored map, (B, 1, H, W). ``mlflow.pytorch.load_model("models:/NAME/VERSION")`` gives it back.

    Returns:
        The version that the registry gave it.
    Raises:
        BenchError: No weights, or a network that cannot be built by name.
    """
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from benchmark.tracking.scored_map import ScoredMap

    model = ScoredMap(load_network(mirror.layout, record)).eval()
    run = mirror.run_of(record.cell)
    assert run is not None, "the mirror was brought up to date before"
    size = min(_EXAMPLE_PX, int(record.recipe["image_size"]))
    example = np.random.default_rng(0).normal(size=(_EXAMPLE_IMAGES, 3, size, size)).astype(np.float32)
    single = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(single, (-1, 3, -1, -1))]), outputs=Schema([TensorSpec(single, (-1, 1, -1, -1))])
    )
    mlflow.set_tracking_uri(place_of(mirror.layout).uri)
    try:
        with mlflow.start_run(run_id=run.info.run_id):
            info = mlflow.pytorch.log_model(
                model,
                name="model",
                signature=signature,
                input_example=example,
                registered_model_name=name,
                code_paths=[str(_folder(package)) for package in _CODE],
                pip_requirements=[f"{package}=={metadata.version(package)}" for package in _NEEDS],
                metadata={"cell": record.cell, "recipe_hash": record.recipe_hash, "synthetic": record.synthetic},
                **_as_pickle(mlflow.pytorch.log_model),
            )
    finally:  # resuming a run changes its end time
        mirror.client.set_terminated(run.info.run_id, run.info.status, end_time=ended_ms(record))
    return str(info.registered_model_version)


def _as_pickle(log_model: Any) -> dict[str, str]:
    """The network's own class, where MLflow has a choice: an exported graph would be tied to one image size."""
    chosen = {"serialization_format": "pickle"}
    return chosen if "serialization_format" in inspect.signature(log_model).parameters else {}


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent
