"""The pyramid transformers against timm's equal networks, against their formulas, and their traps one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from timm.layers import set_fused_attn
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from baselines import pyramid as module
from baselines.pyramid import DEPTHS, MLP_RATIOS, WIDTHS, Pyramid, PyramidName, official_names, pyramid

NUM_PARAMS = {"pvt_v2_b2": 24_849_856, "pvt_v2_b3": 44_725_696, "mit_b2": 24_196_288, "mit_b4": 60_842_688}
NUM_KEYS = {"pvt_v2_b2": 332, "pvt_v2_b3": 572, "mit_b2": 332, "mit_b4": 832}
GMACS_AT_352 = {"pvt_v2_b2": 10.460, "mit_b2": 8.594}
STAGES = tuple((f"patch_embed{n}", f"block{n}", f"norm{n}") for n in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def small(shaken: Callable[..., nn.Module]) -> Pyramid:
    torch.manual_seed(0)
    return shaken(Pyramid("mit_b2", drop_path_rate=0.1))


def timms(name: PyramidName) -> nn.Module:
    """The same network out of timm."""
    if name.startswith("pvt"):
        return timm.create_model(name, num_classes=0)
    options = {"embed_dims": WIDTHS, "num_heads": (1, 2, 5, 8), "mlp_ratios": MLP_RATIOS[name]}
    return PyramidVisionTransformerV2(depths=DEPTHS[name], **options, num_classes=0)


@pytest.mark.parametrize("name", sorted(DEPTHS))
def test_size_and_cost_are_the_published_ones(name: PyramidName) -> None:
    with torch.device("meta"):
        model = Pyramid(name, drop_path_rate=0.1)
        assert sum(p.numel() for p in model.parameters()) == NUM_PARAMS[name]
        assert len(model.state_dict()) == NUM_KEYS[name]
        if name not in GMACS_AT_352:  # counted with the networks that stand on them
            return
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, 352, 352))
    assert counter.get_total_flops() / 2e9 == pytest.approx(GMACS_AT_352[name], abs=6e-4)


@pytest.mark.parametrize("name", ["pvt_v2_b2", "mit_b2"])
def test_equals_timms_network_under_the_same_weights(name: PyramidName, shaken: Callable[..., nn.Module]) -> None:
    set_fused_attn(False)
    torch.manual_seed(0)
    other = shaken(timms(name))
    own = Pyramid(name, drop_path_rate=0.1).double().eval()
    own.load_state_dict(official_names(other.state_dict()), strict=True)
    x = torch.randn(1, 3, 96, 64, dtype=torch.float64)
    with torch.no_grad():
        features = own(x)
        y = other.patch_embed(x)
        for stage, feature in zip(other.stages, features, strict=True):
            y = stage(y)
            assert (feature - y).abs().max() <= 1e-9 * y.std()


def test_equals_the_formulas(
    small: Pyramid, image: Tensor, pyramid_features: Callable, assert_close: Callable[[Tensor, Tensor], None]
) -> None:
    with torch.no_grad():
        pairs = zip(small(image), pyramid_features(small.state_dict(), image, STAGES), strict=True)
        for own, other in pairs:
            assert_close(own, other)


def test_shapes_at_352_and_256() -> None:
    with torch.device("meta"):
        model = Pyramid("pvt_v2_b2", drop_path_rate=0.0)
        for side in (352, 256):
            shapes = [tuple(x.shape[1:]) for x in model(torch.empty(1, 3, side, side))]
            assert shapes == [(w, side // s, side // s) for w, s in zip(WIDTHS, (4, 8, 16, 32), strict=True)]


@pytest.mark.parametrize("name", sorted(DEPTHS))
def test_stochastic_depth_grows_linearly_over_all_blocks(name: PyramidName) -> None:
    with torch.device("meta"):
        model = Pyramid(name, drop_path_rate=0.1)
    rates = [block.drop_path.drop_prob for stage in model.stages() for block in stage.blocks]
    assert rates == pytest.approx([0.1 * i / (len(rates) - 1) for i in range(len(rates))])


def test_stochastic_depth_acts_in_training_only(small: Pyramid, image: Tensor) -> None:
    with torch.no_grad():
        still = small(image)[3]
        small.train()
        torch.manual_seed(1)
        moved = small(image)[3]
        small.eval()
        assert torch.equal(small(image)[3], still) and not torch.equal(moved, still)
        steady = Pyramid("mit_b2", drop_path_rate=0.0).double()
        steady.load_state_dict(small.state_dict())
        assert torch.equal(steady.train()(image)[3], still)


def test_starts_as_published() -> None:
    torch.manual_seed(0)
    model = Pyramid("pvt_v2_b2", drop_path_rate=0.1)
    block = model.block2[0]
    assert block.attn.q.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert block.attn.sr.weight.std().item() == pytest.approx((2 / (4 * 4 * 128)) ** 0.5, rel=0.1)
    assert block.mlp.dwconv.dwconv.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.1)
    biases = [p for key, p in model.named_parameters() if key.endswith("bias")]
    assert not any(bool(bias.any()) for bias in biases)


def test_imagenet_files_load_in_either_naming_without_their_classifier(tmp_path: Path) -> None:
    theirs = timm.create_model("pvt_v2_b2")  # with its head of 1000 classes
    torch.save(theirs.state_dict(), tmp_path / "timm.pth")
    torch.save(official_names(theirs.state_dict()), tmp_path / "pvt_v2_b2.pth")
    expected = theirs.stages[2].blocks[5].mlp.dwconv.weight
    for file in ("timm.pth", "pvt_v2_b2.pth"):
        model, info = pyramid("pvt_v2_b2", drop_path_rate=0.1, weights=str(tmp_path / file))
        assert torch.equal(model.block3[5].mlp.dwconv.dwconv.weight, expected)
        assert info is not None and info["name"] == file and len(info["sha256"]) == 64
    with pytest.raises(ValueError, match=r"timm\.pth does not fit Pyramid: .*of another shape: block1\.0\.mlp"):
        pyramid("mit_b2", drop_path_rate=0.1, weights=str(tmp_path / "timm.pth"))


@pytest.mark.parametrize("name", sorted(DEPTHS))
def test_missing_imagenet_weights_are_refused_with_the_remedies(
    name: PyramidName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"weights=FILE.*pretrained=false"):
        pyramid(name, drop_path_rate=0.1, pretrained=True)


def test_smps_files_keep_their_names() -> None:
    from segmentation_models_pytorch.encoders import get_encoder

    own = Pyramid("mit_b2", drop_path_rate=0.1).state_dict()
    theirs = get_encoder("mit_b2", weights=None).state_dict()
    assert [(k, v.shape) for k, v in own.items()] == [(k, v.shape) for k, v in theirs.items()]
    assert official_names(theirs).keys() == theirs.keys()


def test_the_eps_of_each_norm() -> None:
    with torch.device("meta"):
        model = Pyramid("pvt_v2_b3", drop_path_rate=0.0)
    for key, norm in model.named_modules():
        if isinstance(norm, nn.LayerNorm):
            inner = key.startswith("patch_embed") or key.endswith("attn.norm")
            assert norm.eps == (module.EPS_INNER if inner else module.EPS_OUTER) == (1e-5 if inner else 1e-6)
