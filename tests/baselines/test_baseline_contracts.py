"""The published networks: keys, shapes, parameters and multiply-adds, and the interface that all models share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from baselines import (
    caranet,
    fcbformer,
    hardnet_mseg,
    ldnet,
    polyp_pvt,
    pranet,
    pranet_v2,
    sanet,
    ssformer,
    unet,
    unetplusplus,
)

CONTRACTS = Path(__file__).parent / "contracts"
PUBLISHED = {
    "pranet": pranet.build,
    "sanet": sanet.build,
    "ldnet": ldnet.build,
    "caranet": caranet.build,
    "hardnet_mseg": hardnet_mseg.build,
    "pranet_v2": pranet_v2.build,
    "pranet_v2_res2net": pranet_v2.build_res2net,
    "polyp_pvt": polyp_pvt.build,
    "fcbformer": fcbformer.build,
    "ssformer_s": ssformer.build_s,
}
BUILDERS = {
    **PUBLISHED,
    "unet": unet.build,
    "unetplusplus": unetplusplus.build,
    "unet:classic": unet.build_classic,
    "unetplusplus:classic": unetplusplus.build_classic,
}
NUM_PARAMS = {
    "pranet": 32_547_319,
    "sanet": 23_899_497,
    "ldnet": 33_375_608,
    "caranet": 46_642_560,
    "hardnet_mseg": 33_343_244,
    "pranet_v2": 30_797_658,
    "pranet_v2_res2net": 32_548_842,
    "polyp_pvt": 25_107_604,
    "fcbformer": 52_962_337,
    "ssformer_s": 29_572_545,
    "unet": 24_436_369,
    "unetplusplus": 26_078_609,
    "unet:classic": 31_043_521,
    "unetplusplus:classic": 9_042_276,
}
GMACS_AT_256 = {
    "pranet": 6.877,
    "sanet": 5.927,
    "ldnet": 20.355,
    "caranet": 11.402,
    "hardnet_mseg": 6.002,
    "pranet_v2": 6.156,
    "pranet_v2_res2net": 6.878,
    "polyp_pvt": 5.519,
    "fcbformer": 41.206,
    "ssformer_s": 10.320,
    "unet": 7.814,
    "unetplusplus": 18.384,
    "unet:classic": 48.167,
    "unetplusplus:classic": 29.794,
}
# what the released files carry and nothing reads: how the names begin
DEAD = {
    "pranet": ("resnet.fc.",),
    "caranet": ("resnet.fc.",),
    "hardnet_mseg": hardnet_mseg.HarDNetMSEG.dead_prefixes,
    "pranet_v2": ("conv.",),
    "pranet_v2_res2net": ("conv.", "backbone.fc."),
    "ssformer_s": ("decode_head.linear_fuse.",),
}
NO_BATCH_NORM_AT_STRIDE_32 = ("unetplusplus:classic", "fcbformer", "ssformer_s")


def read_contract(name: str) -> list[list[str]]:
    return [line.split() for line in (CONTRACTS / f"{name}.txt").read_text().splitlines()]


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def named_model(request: pytest.FixtureRequest) -> Iterator[tuple[str, nn.Module]]:
    torch.manual_seed(0)
    model = BUILDERS[request.param]()
    if request.param == "polyp_pvt":  # an untrained one's logits happen to lie in [0, 1]
        nn.init.constant_(model.out_CFM.bias, -3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcbformer, "BRANCH_SIDE", 16)  # its own, whatever the image's side, would only take time here
        yield request.param, model


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_state_dict_has_the_published_keys_in_order_with_their_shapes(name: str) -> None:
    state = PUBLISHED[name]().state_dict()
    own = [[key, "x".join(map(str, tensor.shape)) or "-"] for key, tensor in state.items()]
    assert own == [fields[:2] for fields in read_contract(name)]
    counters = {key for key, tensor in state.items() if tensor.dtype == torch.int64}
    assert counters == {key for key in state if key.endswith("num_batches_tracked")}
    assert {tensor.dtype for key, tensor in state.items() if key not in counters} == {torch.float32}


def test_second_names_in_ldnet_share_their_tensors() -> None:
    state = ldnet.build().state_dict()
    aliases = {fields[0]: fields[2] for fields in read_contract("ldnet") if len(fields) == 3}
    assert len(aliases) == 136
    assert all(state[key].data_ptr() == state[first].data_ptr() for key, first in aliases.items() if state[key].dim())


def test_number_of_parameters(named_model: tuple[str, nn.Module]) -> None:
    name, model = named_model
    assert sum(p.numel() for p in model.parameters()) == NUM_PARAMS[name]


def test_multiply_adds_are_within_one_percent(
    named_model: tuple[str, nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, model = named_model
    monkeypatch.setattr(fcbformer, "BRANCH_SIDE", 88)
    device = "cpu" if name == "ldnet" else "meta"  # only shapes matter; LDNet's sums ask for the device's autocast
    model = copy.deepcopy(model).eval().to(device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 256, 256, device=device))
    assert counter.get_total_flops() / 2e9 == pytest.approx(GMACS_AT_256[name], rel=0.01)


def test_forward_returns_logits_with_the_scored_map_first(named_model: tuple[str, nn.Module]) -> None:
    _, model = named_model
    with torch.no_grad():
        outputs = model.eval()(torch.randn(2, 3, 64, 96))
    assert isinstance(outputs, tuple)
    assert outputs[0].shape == (2, 1, 64, 96)
    assert any(bool((m < 0).any() or (m > 1).any()) for m in outputs), "probabilities instead of logits"


def test_a_training_step_reaches_every_live_parameter(named_model: tuple[str, nn.Module]) -> None:
    name, model = named_model
    model.train().zero_grad()
    mask = (torch.rand(2, 1, 64, 64) > 0.5).float()
    loss = model.loss(model(torch.randn(2, 3, 64, 64)), mask)
    assert loss.dim() == 0
    assert torch.isfinite(loss)
    loss.backward()
    dead = {key for key, p in model.named_parameters() if p.grad is None}
    assert dead == {key for key, _ in model.named_parameters() if key.startswith(DEAD.get(name, ()))}


def test_a_criterion_is_averaged_over_the_maps_at_the_mask_size(named_model: tuple[str, nn.Module]) -> None:
    _, model = named_model
    seen: list[tuple[int, ...]] = []

    def criterion(logits: Tensor, mask: Tensor) -> Tensor:
        assert logits.shape == mask.shape
        seen.append(tuple(logits.shape))
        return torch.tensor(float(len(seen)))

    with torch.no_grad():
        outputs = model.eval()(torch.randn(1, 3, 64, 64))
        loss = model.loss(outputs, torch.zeros(1, 1, 64, 64), criterion=criterion)
    n = len(outputs)
    assert seen == [(1, 1, 64, 64)] * n
    assert loss.item() == pytest.approx((n + 1) / 2)


def test_a_mask_of_another_size_is_refused(named_model: tuple[str, nn.Module]) -> None:
    _, model = named_model
    with torch.no_grad():
        outputs = model.eval()(torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match="mask of shape"):
        model.loss(outputs, torch.zeros(1, 1, 32, 32))


def test_size_that_does_not_fit_is_refused_with_the_nearest(named_model: tuple[str, nn.Module]) -> None:
    _, model = named_model
    with pytest.raises(ValueError, match=r"250x256.*nearest to 250 are 224 and 256"):
        model(torch.zeros(1, 3, 250, 256))


def test_grey_image_is_refused(named_model: tuple[str, nn.Module]) -> None:
    _, model = named_model
    with pytest.raises(ValueError, match="RGB"):
        model(torch.zeros(1, 1, 64, 64))


def test_batch_of_one_trains_where_batch_norm_has_more_than_one_value(named_model: tuple[str, nn.Module]) -> None:
    name, model = named_model
    model.train()
    assert torch.isfinite(model(torch.randn(1, 3, 64, 64))[0]).all()
    tiny = torch.randn(1, 3, 32, 32)
    if name in NO_BATCH_NORM_AT_STRIDE_32:
        assert torch.isfinite(model(tiny)[0]).all()
    else:
        with pytest.raises(ValueError, match="one image of 32x32 in training"):
            model(tiny)
    assert torch.isfinite(model.eval()(tiny)[0]).all()


def test_nan_in_one_image_shows_in_that_image_and_in_the_loss_only(named_model: tuple[str, nn.Module]) -> None:
    _, model = named_model
    model.eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        clean = model(image)[0]
        image[0, 1, 31, 33] = float("nan")
        outputs = model(image)
        loss = model.loss(outputs, torch.zeros(2, 1, 64, 64))
    assert outputs[0][0].isnan().any()
    assert torch.allclose(outputs[0][1], clean[1], atol=1e-4)
    assert loss.isnan()


def test_channels_last_gives_the_same_logits(named_model: tuple[str, nn.Module]) -> None:
    _, model = named_model
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        plain = model.eval()(image)[0]
        model.to(memory_format=torch.channels_last)
        other = model(image.to(memory_format=torch.channels_last))[0]
        model.to(memory_format=torch.contiguous_format)
    assert (plain - other).abs().max() <= 5e-4 * plain.std()
