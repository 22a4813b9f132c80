"""Build the network of a cell from its model, recipe, dropped parts and starting weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config import Recipe
from benchmark.models.outputs import adapt
from benchmark.models.registry import ModelSpec, build_model, code_stamp
from benchmark.runtime import environment

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn


def build_network(
    spec: ModelSpec, recipe: Recipe, *, drop: Sequence[str] = (), weights: Path | None = None, pretrained: bool
) -> nn.Module:
    """Build a network on the CPU, as a cell trains it.

    Args:
        spec: The model.
        recipe: Names the encoder and further options.
        drop: Parts that an ablation leaves out.
        weights: A file of ImageNet weights for the encoder; used if ``pretrained``.
        pretrained: Whether it starts from ImageNet weights.
    Raises:
        BenchError: An option, a part or the weights do not fit the model.
    """
    options = dict(recipe.model_options)
    if spec.takes_encoder and recipe.encoder:
        options["encoder"] = recipe.encoder
    if pretrained and weights is not None:
        options["weights"] = str(weights)
    if drop:
        options["drop"] = tuple(drop)
    return adapt(build_model(spec, pretrained=pretrained, **options), recipe.outputs)


def run_environment(fabric: Fabric, spec: ModelSpec) -> dict[str, Any]:
    """Describe what a record ran on, and by which code."""
    return {**environment.describe(str(fabric.device)), "code": code_stamp(spec)}
