"""An estimate as plain values, for ``--json``; pairs are lower and upper bound."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmark.costs.formula import Work
from benchmark.costs.networks import Network
from benchmark.costs.plan_cost import Estimate
from benchmark.costs.words import FORMULA


def as_payload(found: Estimate) -> dict[str, Any]:
    """Return an estimate as one JSON object."""
    size, grown = found.size, found.grown
    return {
        "formula": FORMULA,
        "num_cells": found.num_cells,
        "seeds": list(found.request.seeds),
        "recipes": [recipe.model_dump(mode="json") for recipe in found.recipes],
        "images": asdict(found.images),
        "conditions": asdict(found.conditions),
        "host_s_per_image": asdict(found.host),
        "networks": [_network(network, work) for network, work in zip(found.networks, found.works, strict=True)],
        "devices": [asdict(device) for device in found.devices],
        "disk_bytes": {"maps": size.map_bytes, "records": size.record_bytes, "weights": size.weight_bytes},
        "growth": {
            "models": grown.models,
            "sets": grown.sets,
            "num_cells": grown.cells,
            "images": grown.images,
            "hours": [
                {"title": device.title, "hours": hours}
                for device, hours in zip(found.devices, found.grown_hours, strict=True)
            ],
            "disk_bytes": {"maps": grown.map_bytes, "records": grown.record_bytes, "weights": grown.weight_bytes},
            "image_pairs": {"now": size.image_pairs, "grown": grown.image_pairs},
            "model_pairs": {"now": size.model_pairs, "grown": grown.model_pairs},
        },
        "failed": found.failed,
    }


def _network(network: Network, work: Work) -> dict[str, Any]:
    return {
        "model": network.cell.spec.name,
        "ablation": list(network.cell.ablation),
        "num_cells": network.num_cells,
        "num_params": network.num_params,
        "forward_gmacs": network.forward_gmacs,
        "step_gmacs": network.step_gmacs,
        "images_per_s_training": 1 / network.step_s,
        "images_per_s_forward": 1 / network.forward_s,
        "kept_mb_per_image": network.kept_mb,
        "memory_mb": network.memory_mb,
        "timed_batch": network.batch,
        "peak_mb": network.peak_mb,
        "work": asdict(work),
    }
