"""Ablations: which variants, and the proof, before anything is trained, that each switch bites."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.config import Recipe, derive_seed
from benchmark.errors import BenchError
from benchmark.plan import Cell, Study
from benchmark.profiling import count_macs
from benchmark.registry import ModelSpec, switches
from benchmark.scoring import build_cell_model
from benchmark.summary import live_parameters

if TYPE_CHECKING:
    from torch import Tensor

VALUES_ONLY = ("pretraining",)
"""Switches that change the weights' values and nothing else."""

_LATENCY_ROUNDS = 8


@dataclass(frozen=True)
class Proof:
    """What a variant is, measured on the untrained network.

    Attributes:
        drop: The parts left out; () for the full model.
        num_params: Unique parameters.
        gmacs: 1e9 multiply-adds per image at the recipe's size.
        output_change: Largest absolute difference of its output from the full model's, same seed and input.
    """

    drop: tuple[str, ...]
    num_params: int
    gmacs: float
    output_change: float


def choose_variants(spec: ModelSpec, recipe: Recipe, drop: Sequence[str], *, factorial: bool) -> list[tuple[str, ...]]:
    """The full model, each part dropped alone, and all dropped; or every subset.

    Args:
        spec: The model; it must declare switches.
        recipe: Says whether the full model is pretrained, which ``pretraining`` needs.
        drop: Parts; empty for all that the model declares (``pretraining`` only where the recipe has it).
        factorial: Every subset instead.
    Raises:
        BenchError: The model declares no parts, a part is unknown, or ``pretraining`` is to be dropped where there
            is none.
    """
    known = switches(spec)
    if not known:
        raise BenchError(f"model {spec.name} declares no parts that can be dropped")
    for part in drop:
        if part not in known:
            raise BenchError(f"model {spec.name}: no part {part!r} to drop; its parts are {', '.join(known)}")
    if "pretraining" in drop and not recipe.pretrained:
        raise BenchError(
            f"--drop pretraining: recipe {recipe.name} starts from random weights, so there is nothing to drop; "
            "pass --set pretrained=true (and the weights), or leave pretraining out"
        )
    parts = tuple(part for part in known if part in drop) or tuple(
        part for part in known if part != "pretraining" or recipe.pretrained
    )
    if factorial:
        return [subset for size in range(len(parts) + 1) for subset in itertools.combinations(parts, size)]
    return list(dict.fromkeys([(), *((part,) for part in parts), parts]))


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


def measure_costs(study: Study, proofs: Sequence[Proof]) -> dict[tuple[str, ...], dict[str, float]]:
    """Parameters, multiply-adds and latency (median of one image's forward pass on the CPU) of every variant."""
    import torch

    cell = study.cells[0]
    image = torch.randn(1, 3, cell.recipe.image_size, cell.recipe.image_size)
    models = {p.drop: build_cell_model(replace(cell, ablation=p.drop), pretrained=False).eval() for p in proofs}
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


def _look(cell: Cell) -> tuple[Proof, Tensor]:
    import torch

    torch.manual_seed(derive_seed("init", 0))
    model = build_cell_model(cell, pretrained=cell.recipe.pretrained).eval()
    side = cell.recipe.image_size
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = model(image)[0]
        gmacs = count_macs(model, image) / 1e9
    return Proof(cell.ablation, live_parameters(model), round(gmacs, 6), 0.0), output
