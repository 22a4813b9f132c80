"""What a recipe may add to a training: a patience, averaged weights, focal loss, transforms and losses by name."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from small_training import RECIPE, Net, make_net, make_pool
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmark.config import Recipe
from benchmark.data.pixels.draws import Draws, Rows
from benchmark.errors import BenchError
from benchmark.recipes.read import validate_recipe
from benchmark.training.average import Average
from benchmark.training.image_transforms import ImageTransforms
from benchmark.training.loop import train
from benchmark.training.losses import get_criterion
from benchmark.training.state import Keeper

CPU = torch.device("cpu")


def run(folder: Path, *, every_s: float = 60.0, stop_after: int = 0, **fields: Any) -> tuple[Net, Any]:
    recipe = validate_recipe({**RECIPE.model_dump(), **fields}, where="test")
    keeper, steps = Keeper(folder / "last.pt", owner="net", every_s=every_s), itertools.count(1)

    def stop(*_: Any) -> None:
        if next(steps) == stop_after + 1 and stop_after:
            raise KeyboardInterrupt

    net, fabric = make_net(), Fabric(accelerator="cpu", devices=1)
    data = make_pool(18, 0), make_pool(6, 1)
    return net, train(net, recipe, data, seed=0, fabric=fabric, keeper=keeper, on_step=stop)


def same_values(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_patience_ends_a_training_whose_score_has_not_risen_also_across_interrupted_runs(tmp_path: Path) -> None:
    _, whole = run(tmp_path / "whole", epochs=30)
    net, outcome = run(tmp_path / "short", epochs=30, patience=3)
    scores = [row["val_dice_half"] for row in whole.history]
    ends = next(n for n in range(4, 30) if max(scores[n - 3 : n]) <= max(scores[: n - 3]))
    assert outcome.history == whole.history[:ends] and outcome.best_epoch == 1 + int(np.argmax(scores[:ends]))
    assert outcome.facts["stopped_early"] == {"epoch": ends, "of": 30, "patience": 3}
    assert "stopped_early" not in whole.facts
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", epochs=30, patience=3, every_s=0.0, stop_after=5 * (ends - 1) + 2)
    again, continued = run(tmp_path / "cut", epochs=30, patience=3)
    assert continued.history == outcome.history and same_values(net, again)


def test_patience_needs_images_that_judge() -> None:
    with pytest.raises(BenchError, match="patience and select = last_all exclude each other"):
        validate_recipe({"patience": 3, "select": "last_all"}, where="test")


class Tied(Net):
    """One module under two names, as LDNet has."""

    def __init__(self) -> None:
        super().__init__()
        self.again = self.body[0]


def test_averages_are_torchs_and_a_module_of_two_names_counts_once() -> None:
    torch.manual_seed(0)
    model = Tied()
    mine = Average(model, 0.9, CPU)
    mine.num_updates = 1000  # past the start, where the decay is smaller
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.n_averaged += 1  # else the first values are copied
    for _ in range(5):
        with torch.no_grad():
            for value in (*model.parameters(), *model.buffers()):
                value.add_(torch.randn_like(value) if value.is_floating_point() else 1)
        mine.update(model)
        theirs.update_parameters(model)
    for (name, a), b in zip(mine.module.state_dict().items(), theirs.module.state_dict().values(), strict=True):
        if a.is_floating_point():
            torch.testing.assert_close(a, b, msg=name)
    assert int(mine.module.body[1].num_batches_tracked) == int(model.body[1].num_batches_tracked) == 5


def test_the_first_averages_forget_the_random_values() -> None:
    model = nn.Conv2d(3, 1, 1)
    average = Average(model, 0.999, CPU)
    with torch.no_grad():
        model.weight.fill_(1.0)
    for _ in range(20):
        average.update(model)
    assert float((average.module.weight - 1).abs().max()) < 1e-4  # 0.999 ** 20 would leave 98 % of them


def test_averaged_weights_are_judged_kept_and_continued(tmp_path: Path) -> None:
    raw, plain = run(tmp_path / "raw")
    close, nearly = run(tmp_path / "close", ema_decay=1e-7)
    for a, b in zip(raw.state_dict().values(), close.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    assert [row["val_dice_half"] for row in nearly.history] == pytest.approx(
        [row["val_dice_half"] for row in plain.history], abs=1e-6
    )
    net, outcome = run(tmp_path / "whole", ema_decay=0.95)
    losses = [row["train_loss"] for row in outcome.history]
    assert losses == [row["train_loss"] for row in plain.history], "the training itself is the same"
    assert outcome.history != plain.history and not same_values(net, raw)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", ema_decay=0.95, every_s=0.0, stop_after=9)
    again, continued = run(tmp_path / "cut", ema_decay=0.95)
    assert continued.history == outcome.history and same_values(net, again)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.8, 0.5), (0.5, 0.0)])
def test_focal_loss_is_its_formula(alpha: float, gamma: float) -> None:
    torch.manual_seed(0)
    logits, mask = 3 * torch.randn(2, 1, 8, 8), torch.rand(2, 1, 8, 8).round()
    p, y = 1 / (1 + np.exp(-logits.double().numpy())), mask.numpy()
    expected = np.where(y == 1, -alpha * (1 - p) ** gamma * np.log(p), -(1 - alpha) * p**gamma * np.log(1 - p)).mean()
    criterion = get_criterion("focal", focal_alpha=alpha, focal_gamma=gamma)
    assert criterion is not None and float(criterion(logits, mask)) == pytest.approx(expected, rel=1e-5)
    if gamma == 0:
        assert expected == pytest.approx(float(F.binary_cross_entropy_with_logits(logits, mask)) / 2, rel=1e-5)
    assert criterion(logits.bfloat16(), mask).dtype == torch.float32


# transforms by name


def pictures(count: int = 12, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose red channel is their mask."""
    rng = np.random.default_rng(0)
    masks = (rng.random((count, side // 4, side // 4)) > 0.5).repeat(4, 1).repeat(4, 2).astype(np.uint8) * 255
    images = np.stack([masks, *rng.integers(0, 256, (2, count, side, side), dtype=np.uint8)], -1)
    return torch.from_numpy(images), torch.from_numpy(masks)


def drawn(tables: list[dict[str, Any]], rows: Rows | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    images, masks = pictures()
    rows = rows or Rows(0, len(images), len(images))
    draws = Draws(torch.Generator().manual_seed(5), rows)
    return ImageTransforms(tables)(images[rows.slice], masks[rows.slice], draws)


MOVED = [{"name": "HorizontalFlip", "p": 0.5}, {"name": "Affine", "rotate": [-40, 40], "interpolation": 0, "p": 0.7}]


def test_masks_move_with_their_images_and_the_pixels_given_stay(tmp_path: Path) -> None:
    before, masks = pictures()
    images, moved = drawn(MOVED)
    assert torch.equal(images[..., 0], moved) and not torch.equal(moved, masks)
    kept = copy.deepcopy(before)
    ImageTransforms([{"name": "InvertImg", "p": 1.0}])(before, masks, Draws(torch.Generator(), Rows(0, 12, 12)))
    assert torch.equal(before, kept)


def test_draws_depend_on_the_seed_alone_and_are_each_images_and_each_transforms_own() -> None:
    one, two = drawn(MOVED), drawn(MOVED)
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    images, masks = drawn(MOVED, Rows(4, 9, 12))  # one of several processes
    assert torch.equal(images, one[0][4:9]) and torch.equal(masks, one[1][4:9])
    before, _ = pictures()
    both = [{"name": "HorizontalFlip", "p": 0.5}, {"name": "InvertImg", "p": 0.5}]
    kinds = set()
    for old, new in zip(before, drawn(both)[0], strict=True):
        flipped = old.flip(1)
        made = {"-": old, "f": flipped, "i": 255 - old, "fi": 255 - flipped}
        kinds |= {kind for kind, expected in made.items() if torch.equal(expected, new)}
    assert kinds == {"-", "f", "i", "fi"}, "two coins, not one for both"


OWN = """
def shade(image, mask, rng, *, strength):
    return (image * (1 - strength * rng.random())).astype("uint8"), mask

def grows(image, mask, rng):
    return image[:-1], mask

def floats(image, mask, rng):
    return image / 255, mask

def alone(image, mask, rng):
    return image
"""


def test_a_function_of_ones_own_draws_from_its_generator(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    table = [{"name": f"{tmp_path}/mine.py:shade", "strength": 0.5}]
    before, masks = pictures()
    images, same = drawn(table)
    assert torch.equal(images, drawn(table)[0]) and torch.equal(same, masks)
    ratios = images.float().sum((1, 2, 3)) / before.float().sum((1, 2, 3))
    assert len({round(float(r), 4) for r in ratios}) == len(before) and 0.5 <= ratios.min() < ratios.max() <= 1


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": "RandomGama"}, "unknown transform 'RandomGama'.*RandomGamma"),
        ({"name": "RandomGamma", "gama": 3}, "transform RandomGamma: .*gama"),
        ({"name": "RandomGamma", "p": 7}, "transform RandomGamma: .*"),
        ({"name": "RandomCrop", "height": 16, "width": 16, "p": 1.0}, r"RandomCrop: makes the image \(16, 16, 3\)"),
        ({"name": "Normalize", "p": 1.0}, "Normalize: makes the image float.*expected an array of uint8"),
        ({"name": "{}/mine.py:grows"}, r"grows: makes the image \(31, 32, 3\); expected \(32, 32, 3\)"),
        ({"name": "{}/mine.py:floats"}, "floats: makes the image float64"),
        ({"name": "{}/mine.py:alone"}, r"alone: returns a ndarray; expected \(image, mask\)"),
        ({"name": "{}/mine.py:shade"}, "shade: TypeError: .*strength"),
        ({"name": "{}/mine.py:absent"}, "has no function 'absent'"),
        ({"name": "{}/other.py:shade"}, "no such file"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, table: dict[str, Any], words: str) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    with pytest.raises(BenchError, match=words) as caught:
        drawn([{**table, "name": table["name"].format(tmp_path)}])
    assert "\n" not in str(caught.value)


def test_transforms_of_a_recipe_repeat_bit_for_bit_across_interrupted_runs(tmp_path: Path) -> None:
    fields = {"transforms": [{"name": "RandomGamma", "p": 0.5}, "VerticalFlip"]}
    net, outcome = run(tmp_path / "whole", **fields)
    assert outcome.history != run(tmp_path / "plain")[1].history
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", **fields, every_s=0.0, stop_after=8)
    again, continued = run(tmp_path / "cut", **fields)
    assert continued.history == outcome.history and same_values(net, again)


def test_hashes_name_no_folder_and_defaults_leave_them_alone() -> None:
    plain = Recipe(image_size=64)
    assert plain.hash == "508724b8"
    here, there = (validate_recipe({"loss": f"{folder}mine.py:f"}, where="test") for folder in ("./", "/home/x/"))
    assert here.hash == there.hash != Recipe().hash and there.to_record()["loss"] == "./mine.py:f"
    for fields in ({"patience": 3}, {"ema_decay": 0.99}, {"loss": "focal"}, {"transforms": ["RandomGamma"]}):
        assert validate_recipe(fields, where="test").hash != Recipe().hash
    tables = (["CLAHE"], [{"name": "CLAHE"}])
    named, table = (validate_recipe({"transforms": one}, where="test") for one in tables)
    assert named.hash == table.hash


@pytest.mark.parametrize("name", ["bce", "dice", "bce_dice", "structure", "focal"])
def test_a_loss_asked_for_by_name_is_that_loss(name: str) -> None:
    torch.manual_seed(0)
    logits, mask = 3 * torch.randn(2, 1, 40, 40), torch.zeros(2, 1, 40, 40)
    mask[:, :, 8:30, 12:33] = 1
    prob = logits.sigmoid()
    entropy = -(mask * prob.log() + (1 - mask) * (1 - prob).log())
    overlap, size = (prob * mask).sum((1, 2, 3)), prob.sum((1, 2, 3)) + mask.sum((1, 2, 3))
    dice = (1 - (2 * overlap + 1) / (size + 1)).mean()
    weight = 1 + 5 * (nn.functional.avg_pool2d(mask, 31, 1, 15) - mask).abs()
    both, either = (prob * mask * weight).sum((2, 3)), ((prob + mask) * weight).sum((2, 3))
    iou = 1 - (both + 1) / (either - both + 1)
    expected = {
        "bce": entropy.mean(),
        "dice": dice,
        "bce_dice": entropy.mean() + dice,
        "structure": ((weight * entropy).sum((2, 3)) / weight.sum((2, 3)) + iou).mean(),
        "focal": (entropy * (mask * 0.3 + (1 - mask) * 0.7) * (1 - torch.exp(-entropy)) ** 2).mean(),
    }
    criterion = get_criterion(name, focal_alpha=0.3, focal_gamma=2.0)
    assert criterion is not None
    assert float(criterion(logits, mask)) == pytest.approx(float(expected[name]), rel=1e-4)
    assert len({round(float(value), 3) for value in expected.values()}) == len(expected), "no two could be confused"
