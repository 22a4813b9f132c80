"""Validation decides whether a part of a network is used in prediction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_training import RECIPE, Net, make_pool

from benchmark.runtime.device import make_fabric
from benchmark.training.loop import train
from benchmark.training.state import Keeper
from benchmark.training.validate import switches_of, validate


class Corrected(Net):
    """Adds a constant to its logits in prediction where the switch is on."""

    def __init__(self, change: float) -> None:
        super().__init__()
        self.change = change
        self.register_buffer("kept", torch.ones(()))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (logits,) = super().forward(image)
        return (logits if self.training else logits + self.kept * self.change,)

    def validated_switches(self) -> dict[str, torch.Tensor]:
        return {"correction": self.kept}


@pytest.mark.parametrize(("change", "kept"), [(-100.0, 0), (0.0, 0), (None, 1)])
def test_a_part_is_used_where_it_scores_higher(change: float | None, kept: int) -> None:
    """A harmful and an idle correction go; without the helpful one every map is empty."""
    torch.manual_seed(7)
    network, pool, fabric = Corrected(change or 0.0).eval(), make_pool(6, 1), make_fabric("cpu", RECIPE)
    if change is None:
        torch.nn.init.constant_(network.body[-1].bias, -100.0)
        network.change = 100.0
    scores = validate(network, RECIPE, pool, fabric)
    assert network.kept.item() == kept and switches_of(network) == {"correction": network.kept}
    network.validated_switches = dict  # type: ignore[method-assign]
    assert validate(network, RECIPE, pool, fabric) == scores, "the scores are those of the choice"
    network.kept.fill_(1 - kept)
    assert validate(network, RECIPE, pool, fabric)["val_dice_half"] <= scores["val_dice_half"]
    assert switches_of(Net()) == {}


def test_the_kept_checkpoint_has_the_choice_of_its_epoch(tmp_path: Path) -> None:
    torch.manual_seed(7)
    network, fabric = Corrected(-100.0), make_fabric("cpu", RECIPE)
    outcome = train(
        network,
        RECIPE,
        (make_pool(8, 0), make_pool(6, 1)),
        seed=0,
        fabric=fabric,
        keeper=Keeper(tmp_path / "last.pt", owner="x"),
    )
    assert network.kept.item() == 0
    again = validate(network, RECIPE, make_pool(6, 1), fabric)
    best = outcome.history[outcome.best_epoch - 1]
    assert again["val_dice_half"] == pytest.approx(best["val_dice_half"], abs=1e-6)
