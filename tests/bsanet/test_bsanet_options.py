"""Options, ours and off by default: ResNeXt-50's first layers, a loss of the refined map, the context's stride."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F

from bsanet import build
from bsanet.config import RESNEXT50
from bsanet.denoiser import build as build_denoiser
from bsanet.losses import bce_dice


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks' weights, random."""
    found = tmp_path_factory.mktemp("weights")
    torch.manual_seed(5)
    torch.save(
        timm.create_model("swin_tiny_patch4_window7_224").state_dict(), found / "swin_tiny_patch4_window7_224.pth"
    )
    torch.save(timm.create_model(RESNEXT50, zero_init_last=False).state_dict(), found / f"{RESNEXT50}.pth")
    return found


def test_resnexts_first_layers_fit_into_the_papers_size() -> None:
    torch.manual_seed(0)
    network = build(encoder=RESNEXT50)
    given = [network.encoder.stem, *network.encoder.levels[:2]]
    assert sum(p.numel() for part in given for p in part.parameters()) == 1_412_416
    whole = sum(p.numel() for p in network.parameters())
    assert f"{whole / 1e6:.2f}" == "6.39" and abs(whole / 6.36e6 - 1) < 0.005
    fine, maps = network.eval().encoder(torch.randn(1, 3, 64, 96))
    assert fine.shape == (1, 64, 32, 48)
    assert [tuple(one.shape) for one in maps] == [(1, 96, 64 // s, 96 // s) for s in (4, 8, 16, 32)]
    with torch.no_grad():
        assert network(torch.randn(1, 3, 64, 96))[0].shape == (1, 1, 64, 96)


def test_both_networks_weights_arrive_from_one_folder(folder: Path) -> None:
    network = build(encoder=RESNEXT50, weights=str(folder))
    file = torch.load(folder / f"{RESNEXT50}.pth", weights_only=True)
    own = network.encoder.state_dict()
    for theirs, ours in (
        *(("conv1.weight", "stem.0.weight"), ("bn1.running_var", "stem.1.running_var")),
        *(
            ("layer1.2.conv2.weight", "levels.0.2.conv2.weight"),
            ("layer2.0.downsample.0.weight", "levels.1.0.downsample.0.weight"),
        ),
    ):
        assert torch.equal(own[ours], file[theirs]), ours
    info = network.weights_info
    assert info is not None and info["name"] == f"swin_tiny_patch4_window7_224.pth + {RESNEXT50}.pth"
    assert len(info["encoder_sha256"]) == len(info["sha256"]) == 64 and info["encoder_sha256"] != info["sha256"]
    beside = build(encoder=RESNEXT50, weights=str(folder / "swin_tiny_patch4_window7_224.pth"))
    assert torch.equal(beside.encoder.levels[1][3].conv3.weight, network.encoder.levels[1][3].conv3.weight)
    alone = build(encoder=RESNEXT50, weights=str(folder), drop="isam").weights_info
    assert alone is not None and alone["name"] == f"{RESNEXT50}.pth"
    assert build(encoder=RESNEXT50, weights=str(folder), drop="pretraining").weights_info is None


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    state = torch.load(folder / f"{RESNEXT50}.pth", weights_only=True)
    torch.save(torch.load(folder / "swin_tiny_patch4_window7_224.pth", weights_only=True), tmp_path / "bsanet.pth")
    with pytest.raises(ValueError, match=rf"no {RESNEXT50}.*pretrained=false"):
        build(encoder=RESNEXT50, weights=str(tmp_path / "bsanet.pth"))
    for broken, said in (
        (
            {key: value for key, value in state.items() if key != "layer2.3.bn3.bias"},
            "no tensor for 'levels.1.3.bn3.bias'",
        ),
        ({**state, "conv1.weight": torch.zeros(64, 3, 3, 3)}, "conv1.weight .* does not fit"),
    ):
        torch.save(broken, tmp_path / f"{RESNEXT50}.pth")
        with pytest.raises(ValueError, match=said):
            build(encoder=RESNEXT50, weights=str(tmp_path / "bsanet.pth"))
    with pytest.raises(ValueError, match="first two levels are given"):
        build(encoder=RESNEXT50, encoder_depths=(1, 2, 2, 2))
    with pytest.raises(ValueError, match="encoder 'resnet18'"):
        build(encoder="resnet18")


def test_the_refined_map_starts_as_the_coarse_one_and_teaches_the_whole_network() -> None:
    torch.manual_seed(0)
    network = build(rendering_loss="network").train()
    image, mask = torch.randn(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.5).float()
    outputs = network(image)
    assert [one.shape for one in outputs] == [(2, 1, 64, 64)] * 2
    coarse = network.eval().decoder(_maps(network, image))[1]
    enlarged = F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)
    assert torch.equal(network(image)[0], enlarged)
    bce_dice(outputs[1], mask).backward()
    reached = {name.partition(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"encoder", "isam", "fsam", "decoder", "rendering"}
    assert network.rendering.last.weight.grad.any(), "the correction learns from its zero"
    whole, plain = network.loss(outputs, mask), network.loss(outputs[:1], mask)
    torch.testing.assert_close(whole - plain, bce_dice(outputs[1], mask))
    assert len(build(rendering_loss="points").train()(image)) == 3


def test_the_refined_map_may_teach_the_rendering_alone() -> None:
    torch.manual_seed(0)
    network = build().train()
    torch.nn.init.normal_(network.rendering.last.weight, std=0.1)
    outputs = network(torch.randn(2, 3, 64, 64))
    bce_dice(outputs[1], (torch.rand(2, 1, 64, 64) > 0.5).float()).backward()
    reached = {name.partition(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"rendering"} and not torch.equal(outputs[1], outputs[0])
    with pytest.raises(ValueError, match="rendering_loss 'all'"):
        build(rendering_loss="all")


def test_validation_may_switch_the_correction_off() -> None:
    torch.manual_seed(0)
    network = build().eval()
    torch.nn.init.normal_(network.rendering.last.weight, std=0.1)
    image, (part, flag) = torch.randn(1, 3, 64, 64), next(iter(network.validated_switches().items()))
    assert part == "rendering" and build(drop=part).validated_switches() == {}
    with torch.no_grad():
        corrected = network(image)[0]
        flag.fill_(0)
        assert torch.equal(network(image)[0], network.switched_off(part)(image)[0])
        assert not torch.equal(network(image)[0], corrected)
        again = build()
        again.load_state_dict(network.state_dict())
        assert torch.equal(again.eval()(image)[0], network(image)[0]), "a checkpoint keeps the choice"
        flag.fill_(1)
        older = {name: value for name, value in network.state_dict().items() if name != "rendering.kept"}
        again.load_state_dict(older)
        assert torch.equal(again(image)[0], corrected), "files from before the choice"


def _maps(network, image):  # type: ignore[no-untyped-def]
    maps = network.encoder(image.contiguous(memory_format=torch.channels_last))[1]
    return [fsam(isam(f)) for f, isam, fsam in zip(maps, network.isam, network.fsam, strict=True)]


def test_the_sum_of_an_isam_starts_small_and_a_denoisers_does_not() -> None:
    for isams, start in ((build().isam, 0.1), (build(isam_weight=0.5).isam, 0.5), (build_denoiser().isam, 1.0)):
        weights = torch.cat([isam.conv.norm.weight for isam in isams])
        assert torch.equal(weights, torch.full_like(weights, start))


def test_the_contexts_stride_changes_no_weight() -> None:
    def shapes(**options: int) -> dict[str, torch.Size]:
        return {name: value.shape for name, value in build(**options).state_dict().items()}

    assert shapes(context_stride=1) == shapes()
    with pytest.raises(ValueError, match="context_stride 3"):
        build(context_stride=3)


def test_a_trained_network_with_parts_switched_off_has_the_same_weights() -> None:
    torch.manual_seed(0)
    network = build().train()
    network(torch.randn(2, 3, 64, 64))  # running statistics that are not those of a fresh network
    torch.nn.init.normal_(network.rendering.last.weight, std=0.1)  # type: ignore[union-attr]
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        full = network.eval()(image)[0]
        for parts in (("isam",), ("rendering",), ("isam", "rendering")):
            alone = build(drop=parts)
            alone.load_state_dict({k: v for k, v in network.state_dict().items() if k in alone.state_dict()})
            off = network.switched_off(parts)(image)[0]
            assert torch.equal(off, alone.eval()(image)[0]) and not torch.equal(off, full), parts
        narrow = network.switched_off("fsam")
        assert all(a.weight is not b.shortcut.weight for a, b in zip(narrow.fsam, network.fsam, strict=True))
        assert all(torch.equal(a.weight, b.shortcut.weight) for a, b in zip(narrow.fsam, network.fsam, strict=True))
        assert not torch.equal(narrow(image)[0], full) and torch.equal(network(image)[0], full), "the network is left"
    with pytest.raises(ValueError, match="cannot switch off 'pretraining'"):
        network.switched_off(["pretraining"])
