"""Check, before anything is trained, that each switch of an ablation changes the network; measure its cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

from benchmark.config import derive_seed
from benchmark.costs.profile import count_macs
from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.models.summary import live_parameters
from benchmark.store.schema import PRETRAINING
from benchmark.study.cells import Cell

if TYPE_CHECKING:
    from torch import Tensor, nn

VALUES_ONLY = (PRETRAINING,)
"""Switches that change nothing but the values of the weights."""

_LATENCY_ROUNDS = 8


@dataclass(frozen=True)
class Proof:
    """A variant, measured on the untrained network.

    Attributes:
        drop: The parts left out; () for the full model.
        num_params: Unique parameters.
        gmacs: 1e9 multiply-adds per image at the recipe's size.
        output_change: Largest absolute difference of its output from the full model's, same seed and input; where there
            is none, since a part may start as nothing, the same after all weights have moved by a little.
    """

    drop: tuple[str, ...]
    num_params: int
    gmacs: float
    output_change: float


def prove(cell: Cell, variants: Sequence[tuple[str, ...]]) -> list[Proof]:
    """Build every variant with the same seed and compare it with the full model.

    Args:
        cell: Any cell of the study: says which model, recipe and ImageNet weights.
        variants: The parts that each leaves out.
    Raises:
        BenchError: A variant's output is the full model's, or it has the full model's parameters and multiply-adds
            although its parts are more than values: the switch does nothing and training it would prove nothing.
    """
    full, full_output = _look(replace(cell, ablation=()))
    proofs = [full]
    for drop in variants:
        if not drop:
            continue
        found, output = _look(replace(cell, ablation=drop))
        change = float((output - full_output).abs().max())
        if change == 0:  # a correction may start at zero
            moved = [_look(replace(cell, ablation=parts), moved=True)[1] for parts in ((), drop)]
            change = float((moved[0] - moved[1]).abs().max())
        found = replace(found, output_change=change)
        same_graph = (found.num_params, found.gmacs) == (full.num_params, full.gmacs)
        if change == 0 or (same_graph and not set(drop) <= set(VALUES_ONLY)):
            raise BenchError(
                f"model {cell.spec.name} without {', '.join(drop)}: {found.num_params:,} parameters, {found.gmacs:.3f} "
                f"GMACs, output change {change:g} against {full.num_params:,} and {full.gmacs:.3f} of the full model: "
                "the switch does nothing; nothing was trained"
            )
        proofs.append(found)
    return proofs


def measure_costs(cell: Cell, proofs: Sequence[Proof]) -> dict[tuple[str, ...], dict[str, float]]:
    """Parameters, multiply-adds and latency (median of one image's forward pass on the CPU) of every variant."""
    import torch

    image = torch.randn(1, 3, cell.recipe.image_size, cell.recipe.image_size)
    models = {p.drop: build_network(cell.spec, cell.recipe, drop=p.drop, pretrained=False).eval() for p in proofs}
    times: dict[tuple[str, ...], list[float]] = {p.drop: [] for p in proofs}
    with torch.inference_mode():
        for _ in range(_LATENCY_ROUNDS):  # interleaved, so that a busy moment hits every variant
            for drop, model in models.items():
                begun = time.perf_counter()
                model(image)
                times[drop].append(time.perf_counter() - begun)
    return {
        p.drop: {
            "num_params": p.num_params,
            "gmacs": p.gmacs,
            "latency_ms": 1e3 * statistics.median(times[p.drop][1:]),
        }
        for p in proofs
    }


def _look(cell: Cell, *, moved: bool = False) -> tuple[Proof, Tensor]:
    import torch

    torch.manual_seed(derive_seed("init", 0))
    model = build_network(
        cell.spec, cell.recipe, drop=cell.ablation, weights=cell.weights, pretrained=cell.recipe.pretrained
    ).eval()
    if moved:
        _move(model)
    side = cell.recipe.image_size
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = model(image)[0]
        gmacs = count_macs(model, image) / 1e9
    return Proof(cell.ablation, live_parameters(model), round(gmacs, 6), 0.0), output


def _move(model: nn.Module) -> None:
    """Add a little noise to every weight, the same to weights of one name, whatever else the network has."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(crc32(name.encode()))
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
