"""Dropping a part changes what its switch says it changes, and nothing but the names in the table is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from baselines import caranet, fcbformer, hardnet_mseg, ldnet, polyp_pvt, pranet, pranet_v2, sanet, ssformer

MODULES = {
    "pranet": pranet,
    "sanet": sanet,
    "ldnet": ldnet,
    "caranet": caranet,
    "hardnet_mseg": hardnet_mseg,
    "pranet_v2": pranet_v2,
    "polyp_pvt": polyp_pvt,
    "fcbformer": fcbformer,
    "ssformer_s": SimpleNamespace(build=ssformer.build_s, SWITCHES=ssformer.SWITCHES),
}
DEAD = ("resnet.fc.", *hardnet_mseg.HarDNetMSEG.dead_prefixes, "conv.", "decode_head.linear_fuse.")
SINGLE = [(name, switch) for name, module in MODULES.items() for switch in module.SWITCHES]
PAIRS = [
    pytest.param(name, pair, marks=pytest.mark.exhaustive if number else ())
    for name, module in MODULES.items()
    for number, pair in enumerate(combinations(module.SWITCHES, 2))
]
"""One of each network; the others with BENCH_TEST_FULL=1."""


def measure(model: nn.Module, image: torch.Tensor) -> tuple[int, int, torch.Tensor]:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        logits = model(image)[0]
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2, logits


@pytest.fixture(scope="module", autouse=True)
def small_branch() -> Iterator[None]:
    """Give FCBFormer's transformer branch fewer pixels: its own number, whatever the image's, would only take time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcbformer, "BRANCH_SIDE", 16)
        yield


@pytest.fixture(scope="module")
def whole(
    stirred: Callable[..., nn.Module], settled: Callable[..., nn.Module], image: torch.Tensor
) -> Callable[[str], tuple]:
    """A network's state, parameters, multiply-adds and logits, by name; worked out when first asked for."""

    @cache
    def measured(name: str) -> tuple:
        torch.manual_seed(0)
        model = stirred(MODULES[name].build())
        if name == "polyp_pvt":  # an untrained guide hardly shows in the map
            model.SAM.conv_proj.weight.data.mul_(8)
        if name == "caranet":  # its decoder has no norms: beside a huge global map nothing else would show
            settled(model, image)
        return model.state_dict(), *measure(model, image)

    return measured


@pytest.mark.parametrize(("name", "switch"), SINGLE)
def test_a_switch_changes_what_it_says(
    name: str, switch: str, whole: Callable[[str], tuple], image: torch.Tensor, stirred: Callable[..., nn.Module]
) -> None:
    state, num_params, macs, logits = whole(name)
    module = MODULES[name]
    torch.manual_seed(1)
    model = stirred(module.build(drop=(switch,)))
    own = model.state_dict()
    model.load_state_dict({k: v for k, v in state.items() if k in own and own[k].shape == v.shape}, strict=False)
    own_params, own_macs, own_logits = measure(model, image)
    assert own_logits.shape == logits.shape
    sentence = module.SWITCHES[switch]
    changes = (own_logits - logits).abs().max() > 1e-3 * logits.std()
    assert bool(changes) is ("the scored map does not" not in sentence)
    if "parameters and multiply-adds do not" in sentence:
        assert (own_params, own_macs) == (num_params, macs)
    elif "cost hardly does" in sentence:
        assert own_params < num_params
        assert abs(own_macs / macs - 1) < 0.01
    else:
        assert "graph, output, parameters and cost change" in sentence
        assert own_params < num_params
        assert own_macs < 0.99 * macs


def train_a_step(name: str, drop: tuple[str, ...]) -> None:
    model = MODULES[name].build(drop=drop).train()
    loss = model.loss(model(torch.randn(2, 3, 32, 32)), (torch.rand(2, 1, 32, 32) > 0.5).float())
    loss.backward()
    dead = {key for key, p in model.named_parameters() if p.grad is None}
    assert torch.isfinite(loss)
    assert all(key.startswith(DEAD) for key in dead)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_what_is_left_without_any_part_trains(name: str) -> None:
    train_a_step(name, tuple(MODULES[name].SWITCHES))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "drop"), PAIRS)
def test_pairs_train(name: str, drop: tuple[str, ...]) -> None:
    train_a_step(name, drop)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_unknown_switch_is_refused_with_the_known_ones(name: str) -> None:
    module = MODULES[name]
    with pytest.raises(ValueError, match="cannot drop nonsense .*" + next(iter(module.SWITCHES))):
        module.build(drop=("nonsense",))


def test_one_name_may_be_given_as_a_string() -> None:
    assert not sanet.build(drop="shallow_attention").has_attention
