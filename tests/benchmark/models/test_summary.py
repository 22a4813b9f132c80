"""What counts as a network's size."""

from __future__ import annotations

import pytest
import torch

from benchmark.models.registry import build_model
from benchmark.models.summary import count, live_parameters


@pytest.mark.parametrize(
    ("name", "live", "carried"),
    [("hardnet_mseg", 17_423_837, 33_343_244), ("pranet", 32_547_319, 32_547_319)],
)
def test_what_a_network_declares_dead_is_not_counted(name: str, live: int, carried: int) -> None:
    with torch.device("meta"):
        model = build_model(name)
    assert (live_parameters(model), count(model)) == (live, carried)
