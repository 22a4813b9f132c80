"""The registry on a CUDA device that is not there: no mix-up of devices or types, one graph each, no waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fake_cuda import (
    CUDA,
    DTYPES,
    HAS_ENGINE,
    FakeCudaFabric,
    Waits,
    autocast,
    check_graph,
    moved_by,
    on_card,
    to_fake_cuda,
)
from small_training import RECIPE, Net, make_net, make_pool
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmark.data.pixels import colour, transforms, turning
from benchmark.models.registry import FIELD, MODELS, build_model
from benchmark.runtime.compute import Compute
from benchmark.training import resident as training_resident
from benchmark.training.batches import Batches, epoch_positions
from benchmark.training.losses import CRITERIA, get_criterion, make_loss
from benchmark.training.optim import make_optimizer
from benchmark.training.resident import Resident
from benchmark.training.share import Share
from benchmark.training.state import TrainState
from benchmark.training.steps import Stepper

RUNS = (("32-true", 256), ("16-mixed", 256), ("bf16-mixed", 352))
LOSSES = (*CRITERIA, "focal", "native")


FEW = ("bsanet", "pranet")
"""The paper's network and a common decoder; the others with BENCH_TEST_FULL=1."""


def few(names: Sequence[str], chosen: Sequence[str]) -> list[Any]:
    """All names; those that were not chosen are exhaustive."""
    return [pytest.param(name, marks=[] if name in chosen else pytest.mark.exhaustive) for name in names]


@pytest.fixture(scope="module", params=few(list(MODELS), FEW))
def network(request: pytest.FixtureRequest) -> nn.Module:
    return build_model(request.param).train()


@pytest.mark.slow
def test_each_network_with_each_loss_is_one_graph(network: nn.Module) -> None:
    """A break would be named; the graph is not run, so that this takes the tracing's time only."""

    class TracedError(Exception):
        pass

    def stop(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        raise TracedError

    torch._dynamo.reset()
    loss = make_loss(network, get_criterion("structure"))
    x, y = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64).round()
    whole = torch.compile(lambda x, y: loss(network(x), y), backend=stop, fullgraph=True)
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed) as caught:
        whole(x, y)  # torch._dynamo.exc.Unsupported names the line that breaks
    assert isinstance(caught.value.inner_exception, TracedError)


@pytest.mark.slow
def test_no_network_or_loss_mixes_devices_or_types_or_waits(network: nn.Module) -> None:
    mix_nothing(network, RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", few(list(FIELD), ("polyp_pvt",)))
def test_no_network_of_the_field_mixes_devices_or_types(name: str) -> None:
    mix_nothing(build_model(name).train(), RUNS[1:2])


def mix_nothing(network: nn.Module, runs: Sequence[tuple[str, int]]) -> None:
    """Run forward pass and all losses; the second pass of a size, whose tables are made, waits for nothing."""
    sizes = set()
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = to_fake_cuda(network)
        losses = {name: make_loss(model, get_criterion(name)) for name in LOSSES}
        for precision, size in runs:
            x, y = torch.empty(2, 3, size, size, device=CUDA), torch.empty(2, 1, size, size, device=CUDA)
            with Waits() as waits:
                with autocast(precision):
                    outputs = model(x.to(DTYPES[precision]))  # as Fabric gives it
                outputs = tuple(o.float() for o in outputs)  # and takes it back
                with autocast(precision):
                    found = {name: loss(outputs, y) for name, loss in losses.items()}
            for name, value in found.items():
                assert value.device == CUDA and value.dtype == torch.float32 and not value.dim(), (precision, name)
            total = torch.stack(list(found.values())).sum()
            assert check_graph(total) > 50
            assert waits.found == [] or size not in sizes
            sizes.add(size)
            if HAS_ENGINE:
                total.backward()
                assert {p.grad.device for p in model.parameters() if p.grad is not None} == {CUDA}


def step(precision: str, net: nn.Module, **fields: Any) -> list[str]:
    """What one step of training waits for, from the gathering of its batch to the optimiser."""
    recipe = RECIPE.model_copy(update={"precision": precision, "clip_norm": 1.0, **fields})
    pool, mode, waits = make_pool(18, 0), FakeTensorMode(allow_non_fake_inputs=True), Waits()
    for part in pool.parts:
        part.names = tuple(map(str, part.rows))
    resident = Resident(pool, torch.device("cpu"))
    resident.images, resident.masks = on_card(mode, resident.images), on_card(mode, resident.masks)
    batches = Batches(pool, recipe, CUDA, Share(), resident)
    positions = epoch_positions(len(pool), recipe, seed=0, epoch=1)
    with mode:
        model, fabric = to_fake_cuda(net), FakeCudaFabric(precision)
        fabric.trained = list(model.parameters())
        optimizer = make_optimizer(model, recipe, fused=True)
        wrapped, optimizer = fabric.setup(model, optimizer, move_to_device=False)
        compute = Compute(precision, True, False, tf32=False, cudnn_benchmark=True, fused_optimizer=True)
        stepper = Stepper(wrapped, model, optimizer, recipe, fabric, compute, TrainState(), print)
    with moved_by(mode, transforms, turning, colour, training_resident):
        epoch = batches.of_epoch(positions, first=0, seed=0, epoch=1)
        for number in range(2):
            with waits:
                batch = next(epoch)
            with mode, waits:
                stepper(batch.images, batch.masks, batch.generator, count=batch.num_images)
            if not number:
                waits.found.clear()  # tables of a size are made once
    return waits.found


ALL_PIECES = ("colour_exchange", "hflip", "rot90", "rotate", "zoom", "crop", "jitter")


@pytest.mark.parametrize("precision", list(DTYPES))
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])  # torch 2.14 cannot fake the fused SGD
def test_nothing_waits_for_the_card_inside_a_step(precision: str, optimizer: str) -> None:
    for pieces in (("hflip", "vflip", "rot90", "jitter"), ALL_PIECES):
        fields = {"optimizer": optimizer, "augmentation": pieces, "micro_batch": 2, "clip_value": 1.0}
        assert step(precision, make_net(), multi_scale="each", scales=(1.0, 2.0), **fields) == []


def test_a_step_that_waits_is_noticed() -> None:
    class Reader(Net):
        def loss(self, outputs: tuple[Tensor, ...], mask: Tensor) -> Tensor:
            moved = mask.cpu().to(CUDA)
            return (outputs[0] - moved).square().mean()

    torch.manual_seed(7)
    found = step("bf16-mixed", Reader(), loss="native")
    assert found == ["_to_copy from cuda to cpu", "_to_copy from cpu to cuda"]
