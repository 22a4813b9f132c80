"""Best checkpoints in MLflow's model registry, with signature, example and the code they need."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.models.registry import ModelSpec
from benchmark.recipes.read import validate_recipe
from benchmark.store.checkpoint import load_weights
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import Record
from benchmark.tracking.connect import place_of
from benchmark.tracking.content import ended_ms

if TYPE_CHECKING:
    from torch import nn

    from benchmark.tracking.mirror import Mirror
    from benchmark.tracking.scored_map import ScoredMap

_CODE = ("benchmark", "baselines", "bsanet")
_NEEDS = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy")
_EXAMPLE_PX = 64  # it is stored as text; the networks take every multiple of 32
_EXAMPLE_IMAGES = 2  # so that no dimension is squeezed and batch norm works


def load_network(layout: ResultsLayout, record: Record, spec: ModelSpec | None = None) -> nn.Module:
    """Build a cell's network and load its best weights, on the CPU, in evaluation mode.

    Args:
        layout: Of the results folder.
        record: Of the cell.
        spec: Its model; found by the record's name if unset.
    Raises:
        BenchError: The cell has no weights, or they do not fit, or its model is a file that ``spec`` does not name.
    """
    from benchmark.prediction.network import spec_of_record

    best = layout.cell(record.cell).best
    if not best.is_file():
        raise BenchError(f"{best}: no such weights (status {record.status}); run the cell again to train it")
    recipe = validate_recipe(record.recipe, where=f"record {record.cell}")
    spec = spec or spec_of_record(record, None)
    network = build_network(spec, recipe, drop=tuple(record.ablation), pretrained=False)
    try:
        network.load_state_dict(load_weights(best, record.best_sha256))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise BenchError(f"{best}: does not fit {record.model} as it is built now ({reason})") from None
    return network.eval()


def register(mirror: Mirror, record: Record, name: str, *, model: str | None = None) -> str:
    """Put a cell's best checkpoint into the model registry, linked with its run.

    The registered model takes images normalised as the recipe says, (B, 3, H, W) float32, and returns the logits of the
    scored map, (B, 1, H, W). ``mlflow.pytorch.load_model("models:/NAME/VERSION")`` gives it back. A network from a file
    takes its file along, and the files that this one imports.

    Args:
        mirror: Up to date.
        record: Of the cell.
        name: Of the registered model.
        model: ``FILE.py:function`` of a cell whose network came from a file.
    Returns:
        The version that the registry gave it.
    Raises:
        BenchError: No weights, a network whose file is not named or has changed, or a file that imports what cannot
            travel with it.
    """
    from benchmark.prediction.network import spec_of_record
    from benchmark.tracking.file_models import packed, requirements
    from benchmark.tracking.scored_map import ScoredMap

    spec = spec_of_record(record, model)
    network = load_network(mirror.layout, record, spec)
    if spec.path is None:
        return _log(mirror, record, name, ScoredMap(network).eval(), [], [])
    with packed(network, spec, record) as (made, folder):
        return _log(mirror, record, name, made.eval(), [folder], requirements(spec.path))


def _log(
    mirror: Mirror, record: Record, name: str, model: ScoredMap, code: Sequence[Path], needs: Sequence[str]
) -> str:
    """Log and register a model with code and packages beside the harness's own; returns its version."""
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    run = mirror.run_of(record.cell)
    assert run is not None, "the mirror was brought up to date before"
    size = min(_EXAMPLE_PX, int(record.recipe["image_size"]))
    example = np.random.default_rng(0).normal(size=(_EXAMPLE_IMAGES, 3, size, size)).astype(np.float32)
    needed = [f"{package}=={metadata.version(package)}" for package in _NEEDS]
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
                code_paths=[*(str(_folder(package)) for package in _CODE), *map(str, code)],
                pip_requirements=list(dict.fromkeys([*needed, *needs])),
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
