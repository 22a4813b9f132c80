"""Transfer from a generated file of timm's format, and checkpoints of our own."""

import hashlib
import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resize_rel_pos_bias_table

from bsanet import build, load_checkpoint
from bsanet.hub import MODEL

TABLE = "attn.relative_position_bias_table"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """State dict of timm's Swin-T with values of its own in every tensor of the first stage."""
    torch.manual_seed(11)
    state = timm.create_model(MODEL, pretrained=False).state_dict()
    return {name: torch.randn_like(value) for name, value in state.items() if value.is_floating_point()}


@pytest.fixture(scope="module")
def file(tensors: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / f"{MODEL}.ms_in1k.safetensors"
    save_file(tensors, path)
    return path


def test_each_tensor_lands_where_it_should(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    model = build(pretrained=True, weights=str(file))
    num_checked = 0
    for level in range(4):
        for j, block in enumerate(model.isam[level].blocks):
            for name, value in block.state_dict().items():
                source = tensors[f"layers.0.blocks.{j % 2}.{name}"]
                if name == TABLE:
                    assert source.shape == (13 * 13, 3)
                    source = resize_rel_pos_bias_table(source, (8, 8), (15 * 15, 3))
                assert torch.equal(value, source), (level, j, name)
                num_checked += 1
    assert num_checked == 4 * 6 * 13
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert model.weights_info == {"name": file.name, "sha256": digest}


def test_weights_change_the_values_of_swin_blocks_and_nothing_else(file: Path) -> None:
    states = []
    for options in ({"weights": str(file)}, {"weights": str(file), "drop": ("pretraining",)}, {}):
        torch.manual_seed(0)
        model = build(**options)
        states.append(model.state_dict())
        assert (model.weights_info is None) == (len(states) > 1)
    loaded, dropped, random = states
    assert list(loaded) == list(dropped)
    differ = {name for name in loaded if not torch.equal(loaded[name], dropped[name])}
    assert differ == {name for name in loaded if ".blocks." in name}
    assert all(torch.equal(dropped[name], random[name]) for name in dropped)


def test_loading_does_not_move_the_generator(file: Path) -> None:
    draws = []
    for options in ({}, {"weights": str(file)}):
        torch.manual_seed(0)
        build(**options)
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[1]


@pytest.mark.parametrize("wrap", ["bare", "model", "state_dict"])
def test_pickled_files_and_folders_are_read_too(tensors: dict[str, torch.Tensor], tmp_path: Path, wrap: str) -> None:
    first = {name: value for name, value in tensors.items() if name.startswith("layers.0.blocks.")}
    torch.save(first if wrap == "bare" else {wrap: first}, tmp_path / f"{MODEL}_22k.pth")
    model = build(weights=str(tmp_path))
    expected = tensors["layers.0.blocks.1.mlp.fc1.weight"]
    assert torch.equal(model.isam[3].blocks[5].mlp.fc1.weight, expected)


def test_without_isam_there_is_nothing_to_load() -> None:
    assert build(pretrained=True, drop=("isam",)).weights_info is None


def test_missing_weights_are_refused_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    for offline in (True, False):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        start = time.perf_counter()
        with pytest.raises(ValueError, match=r"not in the local hub cache.*pretrained=false"):
            build(pretrained=True)
        assert time.perf_counter() - start < 10  # a second on a quiet machine; the hub's own client takes 46


def test_the_hub_cache_is_looked_into_first(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    repo = tmp_path / f"models--timm--{MODEL}.ms_in1k"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    (repo / "snapshots" / "abc").mkdir(parents=True)
    (repo / "snapshots" / "abc" / "model.safetensors").write_bytes(file.read_bytes())
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    info = build(pretrained=True).weights_info
    assert info is not None and info["name"] == f"timm/{MODEL}.ms_in1k"


@pytest.mark.parametrize(
    ("change", "words"),
    [("remove", "no tensor 'layers.0.blocks.1.norm1.weight'"), ("widen", "BSANet needs (96,)")],
)
def test_a_file_of_another_model_is_refused(
    tensors: dict[str, torch.Tensor], tmp_path: Path, change: str, words: str
) -> None:
    other = dict(tensors)
    key = "layers.0.blocks.1.norm1.weight"
    if change == "remove":
        del other[key]
    else:
        other[key] = torch.zeros(128)
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(ValueError) as caught:
        build(weights=str(tmp_path / "other.safetensors"))
    assert words in str(caught.value) and "other.safetensors" in str(caught.value)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("text.pth", "cannot be read"),
        ("list.pth", "names to tensors"),
        ("empty", f"no {MODEL}"),
        ("absent.pth", "no such file"),
    ):
        with pytest.raises(ValueError, match=words):
            build(weights=str(tmp_path / name))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_checkpoint_comes_back(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    model, other = build(), build()
    path = tmp_path / f"best{suffix}"
    save_file(model.state_dict(), path) if suffix == ".safetensors" else torch.save(model.state_dict(), path)
    load_checkpoint(other, path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_a_wrapper_thops_counters_and_missing_steps_of_batch_norm_do_no_harm(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other, told = build(), build(), list[str]()
    state = {f"model.{name}": value for name, value in model.state_dict().items() if "num_batches" not in name}
    torch.save({"state_dict": state | {"model.stem.total_ops": torch.zeros(1)}}, tmp_path / "epoch.ckpt")
    load_checkpoint(other, tmp_path / "epoch.ckpt", say=told.append)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert [words for words in ("'model.'", "thop", "num_batches_tracked") if words in " ".join(told)] == [
        "'model.'",
        "thop",
        "num_batches_tracked",
    ]


@pytest.mark.parametrize(
    ("saved", "own", "words"),
    [
        ((), ("isam",), "isam is on"),
        (("fsam",), (), "fsam is off"),
        (("rendering", "isam"), (), "isam is off, rendering is off; build it with drop=('isam', 'rendering')"),
        ((), ("fsam", "rendering"), "fsam is on, rendering is on; build it with drop=()"),
    ],
)
def test_another_variant_is_refused_with_the_switches_that_differ(
    saved: tuple[str, ...], own: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "best.pt"
    torch.save({"model": build(drop=saved).state_dict()}, path)
    model = build(drop=own)
    with pytest.raises(ValueError) as caught:
        load_checkpoint(model, path)
    assert words in str(caught.value) and "best.pt" in str(caught.value)
    with pytest.raises(ValueError, match="another BSANet variant"):
        model.load_state_dict(build(drop=saved).state_dict())


def test_a_checkpoint_of_other_widths_is_refused_in_one_line(tmp_path: Path) -> None:
    torch.save(build(stem_width=16).state_dict(), tmp_path / "thin.pt")
    with pytest.raises(ValueError, match="size mismatch") as caught:
        load_checkpoint(build(), tmp_path / "thin.pt")
    assert "\n" not in str(caught.value)
