"""What a GPU's training does otherwise than a CPU's, as far as a CPU can show: the same batches, losses read late."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from small_training import RECIPE, Net, make_net, make_pool
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.data.pixels.draws import Rows
from benchmark.data.pixels.turning import TURNING_PIECES, turn, turn_on_device
from benchmark.errors import BenchError
from benchmark.metrics import Protocol, score_all
from benchmark.runtime.memory import is_out_of_memory
from benchmark.training import loop, state, steps, validate
from benchmark.training.batches import Batches, epoch_positions
from benchmark.training.ledger import LAG, DivergedError, Ledger, StepResult
from benchmark.training.optim import make_optimizer
from benchmark.training.resident import Resident, fits, num_bytes
from benchmark.training.share import Share
from benchmark.training.state import Keeper, TrainState

CPU, LATE = torch.device("cpu"), torch.device("meta")
"""A device that is no CPU: its ledger waits; the numbers themselves lie on the CPU here."""
PIECES = (("hflip", "vflip", "rot90"), ("rot90", "jitter"), ("jitter", "rot90", "hflip", "zoom"), ())


class Thread(Batches):
    """Prepared ahead by a thread, as for a GPU whose memory does not hold the pixels."""

    _is_here = False


@pytest.mark.parametrize("pieces", PIECES)
def test_every_way_to_prepare_a_batch_gives_the_same_bytes(pieces: tuple[str, ...]) -> None:
    recipe, pool = RECIPE.model_copy(update={"augmentation": pieces}), make_pool(18, 0)
    ways = [Batches(pool, recipe, CPU, Share()), Thread(pool, recipe, CPU, Share())]
    ways.append(Thread(pool, recipe, CPU, Share(), Resident(pool, CPU)))
    assert [batches.way for batches in ways] == ["in line", "ahead", "resident"]
    positions = epoch_positions(len(pool), recipe, seed=0, epoch=1)
    epochs = [list(batches.of_epoch(positions, first=1, seed=0, epoch=1)) for batches in ways]
    assert [batch.step for batch in epochs[0]] == [1, 2, 3, 4]
    for line, *others in zip(*epochs, strict=True):
        for other in others:
            assert torch.equal(line.masks, other.masks)
            if "jitter" in pieces:  # its mean is summed in another order where colours lie beside each other
                torch.testing.assert_close(line.images, other.images)
            else:
                assert torch.equal(line.images, other.images)
            assert torch.equal(line.generator.get_state(), other.generator.get_state())


def test_bytes_are_turned_alike_on_a_device_and_on_the_cpu() -> None:
    images = torch.randint(0, 256, (9, 32, 32, 3), dtype=torch.uint8)
    masks = torch.randint(0, 256, (9, 32, 32), dtype=torch.uint8)
    for rows in (None, Rows(4, 13, 16)):
        here, there = (
            way(images, masks, TURNING_PIECES, generator=torch.Generator().manual_seed(3), rows=rows)
            for way in (turn, turn_on_device)
        )
        assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_a_thread_that_prepares_batches_raises_in_the_loop_and_ends() -> None:
    pool = make_pool(18, 0)
    positions = epoch_positions(18, RECIPE, seed=0, epoch=1)
    broken = [*positions[:2], np.array([99]), *positions[3:]]
    batches = Thread(pool, RECIPE, CPU, Share()).of_epoch(broken, first=0, seed=0, epoch=1)
    assert [next(batches).step, next(batches).step] == [0, 1]
    with pytest.raises(IndexError):
        next(batches)
    left = Thread(pool, RECIPE, CPU, Share()).of_epoch(positions, first=0, seed=0, epoch=1)
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "batches" for thread in threading.enumerate())


def test_pixels_lie_on_a_gpu_only_where_they_are_a_small_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pools = make_pool(18, 0), make_pool(6, 1)
    need = num_bytes(pools)
    assert need == 24 * 32 * 32 * 4 and not fits(pools, CPU)
    for free, total, wanted in ((need * 9, need * 11, True), (need * 9, need * 9, False), (need * 3, need * 99, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, pair=(free, total): pair)
        assert fits(pools, torch.device("cuda")) is wanted


def result(*passes: float, finite: bool = True, scale: float | None = None) -> StepResult:
    numbers = [torch.tensor(value, dtype=torch.float64) for value in passes]
    return StepResult([numbers], torch.tensor(finite), None if scale is None else torch.tensor(scale))


def test_losses_are_read_late_in_order_and_whole() -> None:
    ledger = Ledger(LATE)
    heard: list[Any] = []
    for step in range(LAG + 3):
        ledger.add(step, 4, result(0.25 * step, 0.75 * step))
        heard += ledger.due()
        assert len(heard) == max(0, step + 1 - LAG)
    heard += ledger.drain()
    assert [(one.step, one.loss) for one in heard] == [(step, float(step)) for step in range(LAG + 3)]
    at_once = Ledger(CPU)
    at_once.add(0, 4, result(1.0))
    assert [one.loss for one in at_once.due()] == [1.0]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -4e6, 0.6e6])
@pytest.mark.parametrize("finite_before", [True, False])
def test_a_divergence_that_is_read_late_names_its_own_step(loss: float, finite_before: bool) -> None:
    ledger = Ledger(LATE)
    ledger.add(0, 4, result(1.0, 1.0))
    ledger.add(1, 4, result(1.0, 1.0, finite=finite_before))
    ledger.add(2, 4, result(1.0, loss))  # two passes: 0.6e6 is half of what explodes
    ledger.add(3, 4, result(1.0, 1.0))
    with pytest.raises(DivergedError) as caught:
        ledger.drain()
    assert caught.value.step == 2 and caught.value.earlier is not finite_before


def test_a_scaler_with_nothing_left_to_halve_is_read_late_too() -> None:
    ledger = Ledger(LATE)
    ledger.add(0, 4, result(1.0, scale=1.0))
    ledger.add(1, 4, result(1.0, scale=0.5))
    with pytest.raises(DivergedError, match=r"half precision at loss scale 0\.5") as caught:
        ledger.drain()
    assert caught.value.step == 1


class LateLedger(Ledger):
    """On the CPU as on a GPU."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(LATE)


class Fuse(Net):
    """Its gradient is infinite in one forward pass of training."""

    at, calls = 7, 0

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = super().forward(image)
        self.calls += self.training
        if self.training and self.calls == self.at:
            maps[0].register_hook(lambda grad: grad * float("nan"))
        return maps


def test_a_training_whose_losses_are_read_late_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """History, weights and every step's loss; where it diverges, the same step and images."""

    def trained(folder: Path) -> Any:
        told: list[Any] = []
        torch.manual_seed(7)
        nets, outcomes = (make_net(), Fuse()), []
        for number, net in enumerate(nets):
            data, fabric = (make_pool(18, 0), make_pool(6, 1)), Fabric(accelerator="cpu", devices=1)
            keeper = Keeper(folder / f"{number}.pt", owner="net", every_s=0.0)
            outcomes.append(
                loop.train(
                    net, RECIPE, data, seed=0, fabric=fabric, keeper=keeper, on_step=lambda *a: told.append(a[:4])
                )
            )
        weights = [float(value.double().sum()) for value in nets[0].state_dict().values()]
        return outcomes[0].history, weights, told[:20], outcomes[1].facts["diverged"]

    at_once = trained(tmp_path / "at once")
    monkeypatch.setattr(loop, "Ledger", LateLedger)
    monkeypatch.setattr(steps, "AT_ONCE", ())
    assert trained(tmp_path / "late") == at_once
    assert at_once[3]["epoch"] == 2 and at_once[3]["step"] == 2


@pytest.mark.parametrize("size", [32, 96])
def test_validation_scores_are_the_scorers_at_training_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(rng.random((6, size, size), dtype=np.float32) ** 2)
    masks = torch.from_numpy(rng.integers(0, 2, (6, size, size)).astype(bool))
    masks[4], masks[5], maps[3] = False, True, 0.0
    protocol = Protocol("plain", stretch=False)
    for pixels, truth, mine in zip(maps, masks, validate._scores(maps, masks), strict=True):
        level = (pixels * 255).round().numpy().astype(np.uint8)
        theirs = score_all(level, truth.numpy(), protocols=[protocol])["plain"]
        curve = validate.dice_curve(torch.from_numpy(level)[None].long(), truth[None])[0]
        np.testing.assert_allclose(curve.flip(0).numpy(), theirs.dice, atol=1e-12)
        assert float(mine[0]) == pytest.approx(theirs.dice_half, abs=1e-12)
        assert float(mine[1]) == pytest.approx(float(theirs.dice.mean()), abs=1e-12)


def test_validation_takes_smaller_passes_where_the_memory_is_short() -> None:
    class Small(Net):
        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            if len(image) > 2:
                raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
            return super().forward(image)

    small, easy = make_net(), make_net()
    small.__class__ = Small
    val_set, fabric = make_pool(7, 1), Fabric(accelerator="cpu", devices=1)
    scores = [validate.validate(net, RECIPE, val_set, fabric) for net in (small, easy)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_a_map_that_is_no_number_is_no_score() -> None:
    net = make_net()
    net.body[4].bias.data.fill_(float("nan"))
    scores = validate.validate(net, RECIPE, make_pool(6, 1), Fabric(accelerator="cpu", devices=1))
    assert all(math.isnan(score) for score in scores.values())


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB.", True),
        ("CUDA error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("GET was unable to find an engine to execute this computation", True),
        ("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: out of memory", False),
        ("The size of tensor a (3) must match the size of tensor b (4)", False),
    ],
)
def test_memory_that_is_short_is_known_whoever_noticed(text: str, short: bool) -> None:
    assert is_out_of_memory(RuntimeError(text)) is short
    assert is_out_of_memory(torch.OutOfMemoryError("x")) and not is_out_of_memory(ValueError(text))


def test_a_step_that_cudnn_gives_up_is_redone_in_halves(tmp_path: Path) -> None:
    class Small(Net):
        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            maps = super().forward(image)
            if self.training and len(image) > 2:
                raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
            return maps

    torch.manual_seed(7)
    outcome = loop.train(
        Small(),
        RECIPE.model_copy(update={"epochs": 1}),
        (make_pool(18, 0), make_pool(6, 1)),
        seed=0,
        fabric=Fabric(accelerator="cpu", devices=1),
        keeper=Keeper(tmp_path / "last.pt", owner="net"),
    )
    assert outcome.facts["micro_batch"] == 2 and outcome.status == "ok"


def test_a_checkpoint_is_written_beside_the_training_and_whole_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, go = state.save_state, threading.Event()
    where: list[str] = []

    def slow(*args: Any, **options: Any) -> None:
        where.append(threading.current_thread().name)
        go.wait(10)
        write(*args, **options)

    monkeypatch.setattr(state, "save_state", slow)
    keeper, net = Keeper(tmp_path / "last.pt", owner="net", every_s=0.0), make_net()
    fabric = Fabric(accelerator="cpu", devices=1)
    _, optimizer = fabric.setup(net, make_optimizer(net, RECIPE))
    keeper.watch(net, optimizer, fabric)
    with keeper:
        before = net.body[0].weight.detach().clone()
        keeper.save(TrainState(epoch=1))
        assert not keeper.is_due and not (tmp_path / "last.pt").exists()
        net.body[0].weight.data.zero_()  # training goes on
        go.set()
    assert where == ["checkpoint"]
    assert keeper.load().epoch == 1 and torch.equal(net.body[0].weight, before)


def test_a_checkpoint_that_cannot_be_written_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: Any, **__: Any) -> None:
        raise BenchError(f"no space left for {path}")

    monkeypatch.setattr(state, "save_state", full)
    with pytest.raises(BenchError, match="no space left"):
        loop.train(
            make_net(),
            RECIPE,
            (make_pool(18, 0), make_pool(6, 1)),
            seed=0,
            fabric=Fabric(accelerator="cpu", devices=1),
            keeper=Keeper(tmp_path / "last.pt", owner="net", every_s=0.0),
        )


def test_the_random_state_of_the_trainings_own_card_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that goes on upon another card, or where there are more of them, draws on."""
    cards = {0: torch.tensor([0]), 1: torch.tensor([1])}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: cards[device.index])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda value, device: cards.__setitem__(device.index, value))
    saved = state._random_state(torch.device("cuda", 1))
    state._set_random_state(saved, torch.device("cuda", 0))
    assert int(cards[0]) == 1
    state._set_random_state(saved, CPU)
    state._set_random_state({"cpu": saved["cpu"], "cuda": []}, torch.device("cuda", 1))  # of an older file
    assert int(cards[1]) == 1


def test_the_wrapped_optimiser_is_fused_where_asked() -> None:
    net: nn.Module = make_net()
    for name in ("adam", "adamw", "sgd"):
        for fused in (True, False):
            optimizer = make_optimizer(net, Recipe(optimizer=name), fused=fused)
            assert bool(optimizer.defaults["fused"]) is fused
