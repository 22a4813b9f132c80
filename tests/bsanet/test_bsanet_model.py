"""The assembled network: size, switches, input sizes and batch sizes, reproducibility, refusals."""

import subprocess
import sys

import pytest
import torch

from bsanet import SWITCHES, BSANet, build
from bsanet.config import SWITCH_NAMES
from bsanet.encoder import ResNeXtBlock

SHAPE_SWITCHES = ("isam", "fsam", "rendering")


def seeded(seed: int = 0, **options: object) -> BSANet:
    torch.manual_seed(seed)
    return build(**options)


def calibrated(network: BSANet) -> BSANet:
    """The network with true batch statistics: without them a fresh one's maps reach into the hundreds."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(2)))
    return network.eval()


@pytest.fixture(scope="module")
def model() -> BSANet:
    return seeded().eval()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def num_params(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_default_network_has_the_paper_s_number_of_parameters(model: BSANet) -> None:
    assert abs(num_params(model) / 6.36e6 - 1) <= 0.005


def test_switches_are_declared_and_documented() -> None:
    assert tuple(SWITCHES) == SWITCH_NAMES
    assert all(sentence.endswith(".") for sentence in SWITCHES.values())


@pytest.mark.parametrize("name", SHAPE_SWITCHES)
def test_each_part_changes_parameters_graph_and_output(name: str, model: BSANet, image: torch.Tensor) -> None:
    without = seeded(drop=(name,)).eval()
    assert num_params(without) < num_params(model)
    assert set(without.state_dict()) != set(model.state_dict())
    with torch.no_grad():
        # Rendering starts as "no correction": give it something to correct with.
        if name == "rendering":
            model = seeded().eval()
            torch.nn.init.normal_(model.rendering.last.weight)
        assert not torch.allclose(without(image)[0], model(image)[0])


def test_dropping_pretraining_without_weights_changes_nothing(model: BSANet, image: torch.Tensor) -> None:
    without = seeded(drop=("pretraining",)).eval()
    for (name, a), (other, b) in zip(model.state_dict().items(), without.state_dict().items(), strict=True):
        assert name == other and torch.equal(a, b)


def test_variants_of_one_seed_share_the_values_of_the_parts_they_share(model: BSANet) -> None:
    full = model.state_dict()
    for name in SHAPE_SWITCHES:
        for key, value in seeded(drop=(name,)).state_dict().items():
            if key in full and full[key].shape == value.shape:
                assert torch.equal(full[key], value), (name, key)


def test_another_seed_gives_other_values(model: BSANet) -> None:
    other = seeded(1)
    same = [
        name
        for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True)
        if torch.equal(a, b) and a.unique().numel() > 1
    ]
    assert same == []


def test_normed_convolutions_start_small_whatever_their_fan_in() -> None:
    network = seeded()
    convs = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    for conv in convs:
        if conv.bias is None:
            assert conv.weight.std().item() == pytest.approx(network.config.conv_std, rel=0.1)
    assert sum(conv.bias is not None for conv in convs) == 5, "the decoder's head and four shortcuts, without a norm"


def test_the_starting_scale_of_convolutions_changes_no_output(image: torch.Tensor) -> None:
    small, large = (seeded(conv_std=std, drop="rendering").train() for std in (0.01, 0.1))
    batch = torch.cat((image, -image, image.flip(2)))
    with torch.no_grad():
        # Batch norm adds 1e-5 to a variance, which in the smallest layers is not nothing.
        for module in (*small.modules(), *large.modules()):
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 1e-12
        torch.testing.assert_close(small(batch)[0], large(batch)[0], atol=1e-2, rtol=1e-2)


def test_points_teach_the_rendering_module_and_nothing_else() -> None:
    network = seeded(rendering_loss="points")
    torch.nn.init.normal_(network.rendering.last.weight)
    _, point_logits, _ = network(torch.randn(2, 3, 64, 64))
    point_logits.square().sum().backward()
    taught = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert taught == {name for name, _ in network.named_parameters() if name.startswith("rendering.")}


def test_rendering_changes_no_bit_of_the_rest_in_training() -> None:
    """So rendering switched off in a trained network is the network trained without it."""
    networks = [seeded(), seeded(drop="rendering")]
    for network in networks:
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        for step in range(3):
            torch.manual_seed(step)
            image, mask = torch.randn(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.5).float()
            optimizer.zero_grad()
            network.loss(network(image), mask).backward()
            optimizer.step()
    full, without = (network.state_dict() for network in networks)
    assert all(torch.equal(full[name], value) for name, value in without.items())
    assert full["rendering.last.weight"].any()


def test_a_halving_shortcut_sees_every_pixel() -> None:
    block = ResNeXtBlock(32, 32, 64, stride=2, groups=32).eval()
    x = torch.randn(1, 32, 8, 8, requires_grad=True)
    block.shortcut(x).sum().backward()
    assert x.grad.ne(0).all()


def test_building_draws_once_from_the_global_generator_whatever_is_built() -> None:
    draws = set()
    for drop in ((), ("isam",), SWITCH_NAMES):
        torch.manual_seed(3)
        build(drop=drop)
        draws.add(torch.rand(1).item())
    assert len(draws) == 1


def test_everything_off_is_a_plain_network(image: torch.Tensor) -> None:
    plain = seeded(drop=SWITCH_NAMES).eval()
    kinds = {type(module).__name__ for module in plain.modules()}
    assert not kinds & {"ISAM", "FSAM", "ARM", "SwinTransformerBlock"}
    assert plain(image)[0].shape == (1, 1, 128, 128)


@pytest.mark.parametrize(
    "size", [(128, 128), (160, 160), (224, 224), (128, 288), (320, 192), (32, 64)], ids=lambda s: "x".join(map(str, s))
)
def test_every_multiple_of_32_gives_a_finite_map_of_its_size(size: tuple[int, int], model: BSANet) -> None:
    with torch.inference_mode():
        (out,) = model(torch.randn(1, 3, *size))
    assert out.shape == (1, 1, *size) and out.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "size",
    [pytest.param(size, marks=() if size in (128, 352) else pytest.mark.exhaustive) for size in range(128, 513, 32)],
)
def test_every_size_in_both_modes(size: int, model: BSANet) -> None:
    network = seeded()
    image = torch.randn(1, 3, size, size)
    outputs = network(image)
    network.loss(outputs, torch.zeros(1, 1, size, size)).backward()
    with torch.inference_mode():
        assert network.eval()(image)[0].shape == (1, 1, size, size)


def test_sizes_may_alternate_and_leave_no_trace(model: BSANet, image: torch.Tensor) -> None:
    before = {name: value.shape for name, value in model.state_dict().items()}
    with torch.inference_mode():
        first = model(image)[0]
        model(torch.randn(1, 3, 224, 160))
        assert torch.equal(model(image)[0], first)
    assert {name: value.shape for name, value in model.state_dict().items()} == before


def test_training_after_inference_at_another_size_works(image: torch.Tensor) -> None:
    network = seeded().eval()
    with torch.inference_mode():
        network(torch.randn(1, 3, 160, 160))
    network(torch.randn(1, 3, 160, 160))[0].sum().backward()
    assert network.encoder.stem[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_an_image_s_map_does_not_depend_on_its_batch(batch: int) -> None:
    model = calibrated(seeded())
    images = torch.randn(batch, 3, 128, 128)
    with torch.inference_mode():
        together = model(images)[0]
        alone = torch.cat([model(one[None])[0] for one in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_every_parameter_gets_a_gradient_and_a_seed_repeats_a_step() -> None:
    image, mask = torch.randn(2, 3, 128, 128), torch.rand(2, 1, 128, 128).round()
    losses = []
    for _ in range(2):
        network = seeded(drop_path=0.1)
        torch.nn.init.normal_(network.rendering.last.weight)
        torch.manual_seed(5)
        loss = network.loss(network(image), mask)
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[1]
    silent = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert silent == []


def test_channels_last_gives_the_same_map(model: BSANet, image: torch.Tensor) -> None:
    with torch.inference_mode():
        expected = model(image)[0]
        network = seeded().eval().to(memory_format=torch.channels_last)
        got = network(image.to(memory_format=torch.channels_last))[0]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_autocast_trains_and_predicts(image: torch.Tensor) -> None:
    network = seeded()
    images = torch.cat((image, -image))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = network.loss(network(images), torch.zeros(2, 1, 128, 128))
    loss.backward()
    assert loss.isfinite() and loss.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        low = network.eval()(image)[0].float()
    with torch.inference_mode():
        full = network(image)[0]
    assert (low - full).abs().mean() < 0.1 * full.abs().mean() + 0.02


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.zeros(1, 3, 250, 256), "250x256: BSANet needs multiples of 32; nearest are 224 and 256"),
        (torch.zeros(1, 3, 100, 40), "nearest are 96 and 128; nearest are 32 and 64"),
        (torch.zeros(1, 1, 128, 128), "repeat a grey image"),
        (torch.zeros(3, 128, 128), "needs (B, 3, H, W)"),
        (torch.zeros(1, 3, 128, 128, dtype=torch.uint8), "torch.uint8"),
        (torch.zeros(1, 3, 128, 128, dtype=torch.float64), "torch.float64"),
        (torch.zeros(1, 3, 128, 128, device="meta"), "meta"),
    ],
)
def test_bad_input_is_refused_with_what_was_expected(image: torch.Tensor, words: str, model: BSANet) -> None:
    with pytest.raises(ValueError) as caught:
        model(image)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"drop": ("arm",)}, "'arm': BSANet's parts are isam, fsam, rendering, pretraining"),
        ({"drop": "swin"}, "'swin'"),
        ({"wdith": 3}, "'wdith'"),
        ({"encoder_inner": (60, 128, 256, 512)}, "multiple of groups"),
        ({"isam_weight": 0.0}, "isam_weight"),
        ({"conv_std": -0.1}, "conv_std"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"point_width": 6}, "heads"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(**options)
    assert words in str(caught.value)


def test_drop_takes_one_name_as_a_string() -> None:
    assert build(drop="isam").config.isam is False


def test_importing_the_package_loads_neither_torch_nor_timm() -> None:
    code = "import sys, bsanet; sys.exit(bool({'torch', 'timm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_swin_blocks_are_a_group_of_parameters() -> None:
    groups = build().parameter_groups()
    assert sum(parameter.numel() for parameter in groups["swin"]) == 2_700_360
    assert build(drop="isam").parameter_groups() == {"swin": []}
