"""One optimiser step in several passes: the same gradients, memory that runs out, a scaler that goes on, divergence.

There is no GPU where these tests run: the networks here raise what CUDA raises, from their own forward, above a
number of images.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from small_training import RECIPE, Net, make_net, make_pool
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.runtime.compute import resolve
from benchmark.store.checkpoint import load_state
from benchmark.training.loop import train
from benchmark.training.optim import make_optimizer
from benchmark.training.share import Share
from benchmark.training.state import Keeper, TrainState
from benchmark.training.steps import Stepper, _even_parts

PLAIN = RECIPE.model_copy(update={"epochs": 2, "augmentation": ()})


class NoNorm(nn.Module):
    """No batch norm and no dropout: every image is on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.body(image),)


class Small(Net):
    """Runs out of memory above ``fits`` images, after its batch norm and dropout have seen them."""

    fits = 4

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = super().forward(image)
        if self.training and len(image) > self.fits:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return maps


def gradients(recipe: Recipe, loss: str) -> list[Tensor]:
    """Gradients of one batch of six, by a learning rate of 0."""
    torch.manual_seed(3)
    model, fabric = NoNorm(), Fabric(accelerator="cpu", devices=1)
    recipe = recipe.model_copy(update={"loss": loss, "lr": 1e-30, "optimizer": "sgd"})
    network, optimizer = fabric.setup(model, make_optimizer(model, recipe))
    stepper = Stepper(network, model, optimizer, recipe, fabric, resolve(recipe, fabric.device), TrainState())
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(6, 3, 32, 32, generator=generator), torch.rand(6, 1, 32, 32, generator=generator).round()
    stepper(x, y, generator)
    return [parameter.grad.clone() for parameter in model.parameters()]  # type: ignore[union-attr]


@pytest.mark.parametrize("loss", ["bce_dice", "bce", "dice", "structure"])
@pytest.mark.parametrize("micro_batch", [1, 2, 4, 5])
def test_gradients_of_passes_add_up_to_those_of_the_batch(loss: str, micro_batch: int) -> None:
    whole = gradients(PLAIN, loss)
    parts = gradients(PLAIN.model_copy(update={"micro_batch": micro_batch}), loss)
    assert max(float(grad.abs().max()) for grad in whole) > 1e-4
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_passes_are_of_nearly_equal_size() -> None:
    parts = Share().num_passes(9, 4)
    sizes = [len(part) for part in _even_parts(torch.zeros(9, 1), parts=parts)[0]]
    assert sizes == [3, 3, 3], "no last pass of one image: batch norm could not take it"
    assert Share().num_passes(9, None) == 1 and _even_parts(torch.zeros(9, 1), parts=1)[0][0].shape == (9, 1)


def run(folder: Path, model: nn.Module, recipe: Recipe = PLAIN, **options: Any) -> tuple[Any, list[str]]:
    heard: list[str] = []
    keeper = Keeper(
        folder / "last.pt", owner="net/recipe/seed0", every_s=options.pop("every_s", 60.0), say=heard.append
    )
    fabric = options.pop("fabric", None) or Fabric(accelerator="cpu", devices=1)
    data = make_pool(18, 0), make_pool(6, 1)
    return train(model, recipe, data, seed=0, fabric=fabric, keeper=keeper, **options), heard


def made(kind: type[Net], fits: int) -> Net:
    torch.manual_seed(7)
    model = kind()
    model.fits = fits  # type: ignore[assignment]
    return model


def assert_equal(a: nn.Module, b: nn.Module) -> None:
    for one, other in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("fits", [1, 2])
def test_a_batch_that_does_not_fit_is_redone_in_halves_with_the_same_draws(tmp_path: Path, fits: int) -> None:
    short, easy = made(Small, fits), made(Small, 99)
    outcome, heard = run(tmp_path / "short", short)
    expected, silence = run(tmp_path / "easy", easy, PLAIN.model_copy(update={"micro_batch": fits}))
    assert outcome.history == expected.history and not silence
    assert_equal(short, easy)
    assert len(heard) == (1 if fits == 2 else 2) and "epoch 1, step 1" in heard[-1] and "batch stays 4" in heard[-1]
    assert outcome.facts["micro_batch"] == fits
    assert outcome.facts["out_of_memory"][-1] == {"epoch": 1, "step": 1, "micro_batch": fits}


def test_it_may_happen_later_and_a_continued_training_remembers(tmp_path: Path) -> None:
    whole, cut = made(Small, 99), made(Small, 99)

    def shrink(model: Net, *, stop: bool) -> Any:
        def on_step(epoch: int, step: int, *_: Any) -> None:
            if (epoch, step) == (1, 2):
                model.fits = 2  # type: ignore[assignment]
            if stop and (epoch, step) == (2, 2):
                raise KeyboardInterrupt

        return on_step

    expected, _ = run(tmp_path / "whole", whole, on_step=shrink(whole, stop=False))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", cut, on_step=shrink(cut, stop=True), every_s=0.0)
    continued = made(Small, 99)  # nothing runs out now, yet the passes stay those of before
    outcome, heard = run(tmp_path / "cut", continued)
    assert outcome.history == expected.history and not heard
    assert outcome.facts["out_of_memory"] == [{"epoch": 1, "step": 3, "micro_batch": 2}]
    assert_equal(whole, continued)


def test_one_image_that_does_not_fit_is_one_line_of_advice(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        run(tmp_path, made(Small, 0))
    assert "image_size" in str(caught.value) and "32 px" in str(caught.value) and "\n" not in str(caught.value)


def scaled_fabric() -> Fabric:
    """16-mixed as on CUDA, with a scale that changes every third step; float16 runs on a CPU, too."""
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=3)
    return Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)])


def test_the_scaler_goes_on_where_it_was(tmp_path: Path) -> None:
    whole, cut = make_net(), make_net()
    expected, _ = run(tmp_path / "whole", whole, fabric=scaled_fabric())
    steps = itertools.count(1)

    def stop(*_: Any) -> None:
        if next(steps) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", cut, fabric=scaled_fabric(), every_s=0.0, on_step=stop)
    saved = load_state(tmp_path / "cut" / "last.pt", owner="net/recipe/seed0")["scaler"]
    assert saved["scale"] == 512.0 and saved["_growth_tracker"] == 2
    continued, fabric = make_net(), scaled_fabric()
    outcome, _ = run(tmp_path / "cut", continued, fabric=fabric)
    assert outcome.history == expected.history
    assert_equal(whole, continued)
    assert fabric.strategy.precision.state_dict()["scale"] == 256.0 * 2**3  # ten steps


def test_gradients_that_overflow_at_any_scale_are_diverged(tmp_path: Path) -> None:
    class Steep(NoNorm):
        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            logits = self.body(image)
            if self.training:
                logits.register_hook(lambda grad: grad * float("inf"))
            return (logits,)

    outcome, _ = run(tmp_path, Steep(), PLAIN.model_copy(update={"epochs": 9}), fabric=scaled_fabric())
    assert outcome.status == "diverged" and "half precision" in outcome.error
    assert outcome.facts["diverged"]["step"] == 9 % 5 and outcome.facts["diverged"]["epoch"] == 2  # 256 / 2**9 < 1


class Fuse(NoNorm):
    """Its gradient is infinite in one forward pass of training, or its logits are huge."""

    def __init__(self, at: int, *, logits: float | None = None) -> None:
        super().__init__()
        self.calls, self.at, self.logits = 0, at, logits

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        self.calls += self.training
        maps = self.body(image)
        if self.training and self.calls == self.at:
            if self.logits is not None:
                return (maps * 0 + self.logits,)
            maps.register_hook(lambda grad: grad * float("nan"))
        return (maps,)


def expected_images(epoch: int, step: int) -> list[str]:
    from benchmark.training.loop import _batches

    return [str(i) for i in list(_batches(18, PLAIN, seed=0, epoch=epoch))[step - 1]]


def test_a_gradient_that_is_not_finite_is_laid_to_its_own_batch(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, Fuse(7))
    assert outcome.status == "diverged" and "step 3 of 5" in outcome.error
    assert outcome.facts["diverged"] == {"epoch": 2, "step": 2, "images": expected_images(2, 2)}


def test_the_last_batch_of_an_epoch_is_found_by_validation(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, Fuse(5))
    assert outcome.status == "diverged" and "validation" in outcome.error
    assert outcome.facts["diverged"] == {"epoch": 1, "step": 5, "images": expected_images(1, 5)}


@pytest.mark.parametrize("logits", [4e7, -4e7, float("inf"), float("nan")])
def test_a_loss_that_explodes_is_diverged_at_its_step(tmp_path: Path, logits: float) -> None:
    outcome, _ = run(tmp_path, Fuse(3, logits=logits))
    assert outcome.status == "diverged" and "epoch 1, step 3" in outcome.error
    assert outcome.facts["diverged"] == {"epoch": 1, "step": 3, "images": expected_images(1, 3)}


def test_a_great_loss_alone_is_not_diverged(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, Fuse(3, logits=1e5))
    assert outcome.status == "ok"


@pytest.mark.slow
def test_compiled_training_agrees_with_plain_training(tmp_path: Path) -> None:
    recipe = PLAIN.model_copy(update={"epochs": 1})
    plain, _ = run(tmp_path / "plain", make_net(), recipe)
    compiled, _ = run(tmp_path / "compiled", make_net(), recipe.model_copy(update={"compile": True}))
    assert compiled.facts["compile"] and compiled.history[0].keys() == plain.history[0].keys()
    assert compiled.history[0]["train_loss"] == pytest.approx(
        plain.history[0]["train_loss"], rel=0.2
    )  # dropout differs
