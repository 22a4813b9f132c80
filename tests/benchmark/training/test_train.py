"""The loop: it repeats bit for bit, continues bit for bit, chooses on validation, and stops when the loss explodes."""

from __future__ import annotations

import itertools
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from small_training import RECIPE, Net, make_net, make_pool
from torch import nn
from torch.nn import functional as F

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.models.groups import parameter_groups
from benchmark.runtime.signals import exit_code
from benchmark.store.checkpoint import load_state, save_state
from benchmark.training.batches import epoch_positions
from benchmark.training.loop import train
from benchmark.training.losses import make_loss
from benchmark.training.optim import learning_rate, make_optimizer, plateau_rate, set_lr
from benchmark.training.state import Keeper
from benchmark.training.validate import baseline_dice, dice_curve


def run(tmp_path: Path, recipe: Recipe = RECIPE, *, every_s: float = 60.0, **options: Any) -> tuple[Net, Any]:
    net = make_net()
    data = make_pool(18, 0), make_pool(6, 1)
    fabric = Fabric(accelerator="cpu", devices=1)
    keeper = Keeper(tmp_path / "last.pt", owner="net/recipe/seed0", every_s=every_s)
    return net, train(net, recipe, data, seed=0, fabric=fabric, keeper=keeper, **options)


def test_it_learns_and_chooses_the_best_epoch(tmp_path: Path) -> None:
    _, outcome = run(tmp_path)
    scores = [row["val_dice_half"] for row in outcome.history]
    assert outcome.status == "ok" and outcome.best_epoch == 1 + int(np.argmax(scores))
    assert max(scores) > outcome.history[0]["val_dice_all_foreground"] + 0.2


def test_the_same_command_twice_is_identical(tmp_path: Path) -> None:
    first, one = run(tmp_path / "a")
    second, two = run(tmp_path / "b")
    assert one.history == two.history
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("stop_after", [1, 4, 7, 10, 13, 19])
def test_continuing_after_any_step_is_identical_to_not_stopping(tmp_path: Path, stop_after: int) -> None:
    whole, expected = run(tmp_path / "whole")
    steps = itertools.count(1)

    def stop(*_: Any) -> None:
        if next(steps) == stop_after + 1:
            raise KeyboardInterrupt  # before this step is kept, as a kill would

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", on_step=stop, every_s=0.0)
    torch.manual_seed(99)  # a new process has another random state
    continued, outcome = run(tmp_path / "cut")
    assert outcome.history == expected.history and outcome.best_epoch == expected.best_epoch
    for a, b in zip(whole.state_dict().values(), continued.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_plateau_of_the_validation_score_halves_the_rate_also_across_interrupted_runs(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"schedule": "plateau", "plateau_epochs": 0, "epochs": 8, "lr": 0.5})
    _, expected = run(tmp_path / "whole", recipe)
    scores = [row["val_dice_half"] for row in expected.history]
    assert [row["lr"] for row in expected.history] == [plateau_rate(recipe, scores[:i]) for i in range(8)]
    assert len({row["lr"] for row in expected.history}) > 1

    def stop(epoch: int, *_: Any) -> None:
        if epoch == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", recipe, on_step=stop, every_s=0.0)
    _, outcome = run(tmp_path / "cut", recipe)
    assert outcome.history == expected.history


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_loses_none(tmp_path: Path, number: signal.Signals) -> None:
    whole, expected = run(tmp_path / "whole")

    def send(epoch: int, step: int, *_: Any) -> None:
        if (epoch, step) == (2, 3):
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt) as caught:
        run(tmp_path / "cut", on_step=send)
    assert exit_code(caught.value) == 128 + number
    assert load_state(tmp_path / "cut" / "last.pt", owner="net/recipe/seed0")["train"]["step"] == 3
    continued, outcome = run(tmp_path / "cut")
    assert outcome.history == expected.history
    assert torch.equal(whole.body[0].weight, continued.body[0].weight)


def test_what_cannot_be_trusted_is_named_and_training_starts_anew(tmp_path: Path) -> None:
    _, expected = run(tmp_path / "whole")
    heard: list[str] = []
    good = tmp_path / "last.pt"
    save_state(good, {"train": {}}, owner="another")
    flipped = bytearray(good.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    for content in (b"", b"PK\x03\x04 torn", good.read_bytes(), bytes(flipped), good.read_bytes()[:-1]):
        good.write_bytes(content)
        net, fabric = make_net(), Fabric(accelerator="cpu", devices=1)
        keeper = Keeper(good, owner="net/recipe/seed0", say=heard.append)
        outcome = train(net, RECIPE, (make_pool(18, 0), make_pool(6, 1)), seed=0, fabric=fabric, keeper=keeper)
        assert outcome.history == expected.history
    assert len(heard) == 5 and all("last.pt" in line and "starts again" in line for line in heard)
    assert "another cell" in heard[2] and "checksum" in heard[3] and "checksum" in heard[4]


def test_an_exploding_loss_is_recorded_as_diverged(tmp_path: Path) -> None:
    _, outcome = run(tmp_path, RECIPE.model_copy(update={"lr": 1e30, "optimizer": "sgd"}))
    assert outcome.status == "diverged" and "step" in outcome.error


def test_weights_that_explode_at_the_last_step_are_diverged_too(tmp_path: Path) -> None:
    def poison(epoch: int, step: int, steps: int, loss: float, rate: float) -> None:
        if epoch == 2 and step == steps:
            net.body[4].weight.data.fill_(float("nan"))

    net = make_net()
    data, fabric = (make_pool(18, 0), make_pool(6, 1)), Fabric(accelerator="cpu", devices=1)
    keeper = Keeper(tmp_path / "last.pt", owner="net/recipe/seed0")
    outcome = train(net, RECIPE, data, seed=0, fabric=fabric, keeper=keeper, on_step=poison)
    assert outcome.status == "diverged" and "epoch 2" in outcome.error and len(outcome.history) == 1


def test_select_last_takes_the_last_epoch(tmp_path: Path) -> None:
    _, outcome = run(tmp_path, RECIPE.model_copy(update={"select": "last"}))
    assert outcome.best_epoch == RECIPE.epochs


def test_every_image_is_seen_once_per_epoch_in_a_new_order() -> None:
    orders = [np.concatenate(epoch_positions(19, RECIPE, seed=0, epoch=e)) for e in (1, 2)]
    assert all(sorted(order) == list(range(19)) for order in orders) and list(orders[0]) != list(orders[1])


def test_no_batch_of_one() -> None:
    sizes = [len(part) for part in epoch_positions(17, RECIPE, seed=0, epoch=1)]
    assert sizes == [4, 4, 4, 5]
    dropped = RECIPE.model_copy(update={"drop_last": True})
    assert [len(part) for part in epoch_positions(18, dropped, seed=0, epoch=1)] == [4, 4, 4, 4]


def test_a_pool_returns_rows_of_its_parts_in_order() -> None:
    pool = make_pool(6, 3)
    images, masks = pool.batch(np.array([5, 0, 3]))
    assert torch.equal(images[0], torch.from_numpy(pool.parts[1].pixels.images[5]))
    assert torch.equal(masks[1], torch.from_numpy(pool.parts[0].pixels.masks[0]))


def test_dice_curve_against_plain_counting() -> None:
    rng = np.random.default_rng(0)
    levels, masks = rng.integers(0, 256, (3, 9, 7)), rng.random((3, 9, 7)) > 0.6
    curve = dice_curve(torch.from_numpy(levels), torch.from_numpy(masks))
    for i in range(3):
        for k in (0, 1, 128, 200, 255):
            hit = ((levels[i] >= k) & masks[i]).sum()
            assert curve[i, k] == pytest.approx(2 * hit / ((levels[i] >= k).sum() + masks[i].sum()), abs=1e-12)


def test_all_foreground_dice_is_its_formula() -> None:
    pool = make_pool(4, 2)
    _, masks = pool.batch(np.arange(4))
    share = (masks > 127).float().mean((1, 2))
    assert baseline_dice(pool)["val_dice_all_foreground"] == pytest.approx(float((2 * share / (1 + share)).mean()))


@pytest.mark.parametrize(
    ("changes", "progress", "factor"),
    [
        ({"schedule": "constant"}, 3.5, 1.0),
        ({"schedule": "cosine", "epochs": 10}, 5.0, 0.5),
        ({"schedule": "cosine", "epochs": 10}, 10.0, 0.0),
        ({"schedule": "poly", "epochs": 80}, 40.7, 0.5**0.9),
        ({"schedule": "step", "step_epochs": (64, 96)}, 62.9, 1.0),
        ({"schedule": "step", "step_epochs": (64, 96)}, 63.0, 0.5),
        ({"schedule": "step", "step_epochs": (64, 96)}, 95.0, 0.25),
        ({"warmup_epochs": 2.0}, 1.0, 0.5),
        ({"schedule": "constant", "step_epochs": [2], "step_factor": 0.1}, 5.0, 1.0),
        ({"warmup_epochs": 2.0, "warmup_by": "epoch"}, 0.9, 0.0),
        ({"warmup_epochs": 2.0, "warmup_by": "epoch"}, 1.9, 0.5),
        ({"warmup_epochs": 2.0, "warmup_by": "epoch"}, 2.0, 1.0),
    ],
)
def test_schedules(changes: dict[str, Any], progress: float, factor: float) -> None:
    recipe = Recipe(lr=0.4, **changes)
    assert learning_rate(recipe, progress) == pytest.approx(0.4 * factor, abs=4e-4)


def test_the_encoder_gets_its_own_rate() -> None:
    net = nn.Module()
    net.encoder, net.head = nn.Linear(2, 2), nn.Linear(2, 1)
    groups = make_optimizer(net, Recipe(optimizer="sgd", encoder_lr_scale=0.1)).param_groups
    assert [(len(g["params"]), g["scale"]) for g in groups] == [(2, 1.0), (2, 0.1)]


class Grouped(nn.Module):
    """Two layers and an encoder; the groups ``late`` and ``both`` overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.early, self.late = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)

    def parameter_groups(self) -> dict[str, Any]:
        both = [*self.early.parameters(), *self.late.parameters()]
        return {"early": self.early.parameters(), "late": self.late.parameters(), "both": both, "gone": []}


def test_groups_that_a_model_names_get_their_own_rate_and_warm_up() -> None:
    net = Grouped()
    assert {name: len(held) for name, held in parameter_groups(net).items()} == {
        **{"encoder": 2, "early": 2, "late": 2},
        **{"both": 4, "gone": 0},
    }
    recipe = Recipe(lr=0.5, lr_factors={"late": 0.1, "gone": 3.0}, lr_warmups={"early": 4.0}, encoder_lr_scale=0.2)
    optimizer = make_optimizer(net, recipe)
    sizes = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    assert sizes == [0, 3, 6, 6], "the rest, late, encoder, early"
    for progress, early in ((0.0, 0.001 / 4), (2.0, 2.001 / 4), (4.0, 1.0), (9.0, 1.0)):
        set_lr(optimizer, recipe, progress)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([0.5, 0.05, 0.1, 0.5 * early])
    assert len(make_optimizer(net, Recipe()).param_groups) == 1, "no group is named: one rate for all"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"lr_factors": {"swin": 0.1}},
            "no group of parameters 'swin'; its groups are encoder, early, late, both, gone",
        ),
        ({"lr_warmups": {"late": 1.0}, "lr_factors": {"both": 0.1}}, "groups both and late share parameters"),
        ({"encoder_lr_scale": 0.1, "lr_factors": {"encoder": 0.1}}, "set the same rate"),
    ],
)
def test_groups_that_cannot_be_are_one_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        make_optimizer(Grouped(), Recipe(**fields))


def test_a_model_without_a_loss_gets_the_mean_over_its_maps() -> None:
    maps = (torch.randn(2, 1, 8, 8), torch.randn(2, 1, 4, 4))
    mask = (torch.rand(2, 1, 8, 8) > 0.5).float()
    criterion = F.binary_cross_entropy_with_logits
    coarse = F.interpolate(maps[1], (8, 8), mode="bilinear", align_corners=False)
    expected = (criterion(maps[0], mask) + criterion(coarse, mask)) / 2
    assert math.isclose(float(make_loss(Net(), criterion)(maps, mask)), float(expected), rel_tol=1e-6)
