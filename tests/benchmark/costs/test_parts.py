"""What an estimate is made of: counted images, measured networks, devices."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from lightning_fabric import Fabric
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.costs.devices import measured_speed, on_device
from benchmark.costs.formula import Host, Work
from benchmark.costs.hardware import load_devices, measured_rows
from benchmark.costs.images import count_images
from benchmark.costs.networks import Network
from benchmark.costs.training_step import measure_step
from benchmark.data.listing.stand_ins import list_or_count, stand_ins
from benchmark.data.splits.choose import make_split
from benchmark.errors import BenchError
from benchmark.models.registry import get_spec
from benchmark.study.cells import Cell
from benchmark.study.plan import Request

SIDE = 32


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 1, 1, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.last(self.first(image).relu()),)

    def loss(self, outputs: tuple[Tensor], mask: Tensor) -> Tensor:
        return outputs[0].mean()  # keeps nothing


def test_a_step_is_counted_by_hand() -> None:
    cost = measure_step(Net(), Fabric(accelerator="cpu", devices=1), side=SIDE, batch=2, loss="native")
    pixels = SIDE * SIDE
    forward = pixels * (27 * 8 + 8)
    backward = pixels * (27 * 8 + 2 * 8)  # the image needs no gradient
    assert cost.gmacs == pytest.approx((forward + backward) / 1e9)
    assert cost.kept_mb == pytest.approx((3 + 8) * pixels * 4 / 2**20)  # the image, and what relu made of it, once
    assert cost.seconds > 0 and cost.batch == 2 and cost.peak_mb is None


def test_counts_without_data_are_those_of_the_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA_ROOT", raising=False)
    found = count_images(Request(datasets=["polyp"]))
    sizes = {"kvasir": 1000, "colondb": 380, "endoscene": 612 + 60}
    val = {name: int(0.1 * n + 0.5) for name, n in sizes.items()}
    test = {name: int(0.2 * n + 0.5) for name, n in sizes.items()}
    assert found.tests == {"kvasir": test["kvasir"], "etis": 196, "colondb": test["colondb"], "endoscene": 134}
    assert found.val == sum(val.values()) and found.train == 2052 - found.val - sum(test.values())
    assert found.num_sets == 5 and found.sources["etis"] == "published size (196 images)"
    pranet = count_images(Request(datasets=["polyp"], split="pranet"))
    assert (pranet.train + pranet.val, sum(pranet.tests.values())) == (1450, 798)
    grouped = count_images(Request(datasets=["clinicdb"], split="grouped"))
    assert grouped.train + grouped.val + grouped.tests["clinicdb"] == 612


def test_stand_ins_bear_the_ids_and_sequences_that_are_known() -> None:
    frames = stand_ins("clinicdb")
    assert {item.id for item in frames} == {str(k) for k in range(1, 613)} and len({i.group for i in frames}) == 29
    assert {item.id for item in stand_ins("cvc300")} == {str(k) for k in range(149, 209)}
    assert len({item.id for item in stand_ins("endoscene")}) == 672
    skin = make_split("paper-skin", ["isic2016", "ph2"], root=None, listing=list_or_count)
    assert len(skin.train) + len(skin.val) == 900 and {k: len(v) for k, v in skin.tests.items()}["isic2016"] == 379


def test_a_set_of_unknown_size_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="isle"):
        count_images(Request(datasets=["isle"], data_root=tmp_path))


def test_a_set_is_left_out_where_that_was_allowed(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nothing to train on"):
        count_images(Request(datasets=["kvasir"], data_root=tmp_path, allow_missing=True))
    assert count_images(Request(datasets=["kvasir"], data_root=tmp_path)).train == 700


def network(recipe: Recipe, **changes: object) -> Network:
    cell = Cell("unet/0", get_spec("unet"), recipe, 0)
    plain = Network(
        cell, 3, 10_000_000, forward_gmacs=1.0, step_gmacs=3.0, forward_s=0.1, step_s=0.4, kept_mb=100, batch=4
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


FULL = Recipe(precision="32-true")
HOST = Host(0.0, 0.0, 0.0, 0.0)
WORK = Work(train=1000, val=0, test=0)
ROW = {
    "device": "cuda",
    "model": "unet",
    "device_name": "NVIDIA GeForce RTX 3090",
    "size_px": 256.0,
    "batch": 16.0,
    "latency_ms": 8.0,
    "gmacs": 1.0,
    "train_ms": 32.0,
    "train_gmacs": 3.0,
    "train_precision": "32-true",
}


def test_the_assumption_is_a_share_of_the_peak_of_the_precision() -> None:
    device = load_devices(utilisation="0.1,0.2")["rtx3090"]
    cost = on_device(device, [network(FULL)], [WORK], HOST, counts=[1, 8])
    slow = 1000 * 3e9 * 2 / (35.6e12 * 0.1)
    assert cost.cell_s == [(pytest.approx(slow / 2), pytest.approx(slow))] and cost.basis == "assumed"
    assert cost.hours[1][1] == pytest.approx(3 * slow / 3600) and cost.hours[8][1] == pytest.approx(slow / 3600)
    half = on_device(device, [network(Recipe())], [WORK], HOST, counts=[1])  # auto, which is half on CUDA
    assert half.peak_tflops == 71 and half.cell_s[0][1] == pytest.approx(slow * 35.6 / 71)
    own = load_devices()["rtx3090"]
    assert (own.utilisation(FULL), own.utilisation(Recipe())) == (own.full, own.half) and own.full != own.half


def test_measured_images_per_second_win_over_the_assumption() -> None:
    device = load_devices()["rtx3090"]
    cost = on_device(device, [network(FULL)], [WORK], HOST, counts=[1], profile=[ROW])
    assert cost.cell_s == [(pytest.approx(2.0), pytest.approx(2.0))]  # 32 ms for 16 images: 500 images/s
    assert cost.basis == "measured by bench profile" and cost.utilisation is None
    other = network(FULL, cell=Cell("pranet/0", get_spec("pranet"), FULL, 0))
    mixed = on_device(device, [network(FULL), other], [WORK, WORK], HOST, counts=[1], profile=[ROW])
    assert mixed.basis.startswith("partly measured") and mixed.cell_s[1][0] < mixed.cell_s[1][1]
    variant = measured_speed(network(FULL, step_gmacs=1.5), [ROW])
    assert variant is not None and variant.step_s == pytest.approx(0.001)  # as many multiply-adds per second


def test_steps_timed_on_a_device_of_the_table_replace_its_assumption() -> None:
    name = "NVIDIA H100 80GB HBM3"
    cost = on_device(load_devices()["h100"], [network(FULL)], [WORK], HOST, counts=[1, 8], here=name)
    assert cost.cell_s == [(pytest.approx(400.0), pytest.approx(400.0))] and cost.basis == "measured here"
    other = on_device(load_devices()["rtx3090"], [network(FULL)], [WORK], HOST, counts=[1], here=name)
    assert other.basis == "assumed"


@pytest.mark.parametrize("change", [{"size_px": 352.0}, {"train_precision": "bf16-mixed"}, {"train_ms": None}])
def test_a_measurement_of_something_else_is_none(change: dict) -> None:
    assert measured_speed(network(FULL), [{**ROW, **change}]) is None


def test_auto_takes_what_it_is_on_the_profiled_device() -> None:
    half, cpu = {**ROW, "train_precision": "bf16-mixed"}, {**ROW, "device": "cpu"}
    assert measured_speed(network(Recipe()), [half]) and measured_speed(network(Recipe()), [cpu])
    assert measured_speed(network(Recipe()), [ROW]) is None


def test_a_batch_that_does_not_fit_is_named() -> None:
    devices = load_devices()
    large = network(Recipe(), kept_mb=1500.0)  # 16 images: 24,000 MB
    assert on_device(devices["rtx3090"], [large], [WORK], HOST, counts=[1]).too_small == ["U-Net"]
    assert on_device(devices["h100"], [large], [WORK], HOST, counts=[1]).too_small == []


def test_a_device_check_is_a_measured_device(tmp_path: Path) -> None:
    file = tmp_path / "check.json"
    file.write_text(json.dumps({"device_check": 1, "profile": [ROW]}), encoding="utf-8")
    rows = measured_rows(file)
    assert load_devices(file).keys() == load_devices().keys() and measured_rows(None) == []
    cost = on_device(load_devices()["rtx3090"], [network(FULL)], [WORK], HOST, counts=[1], profile=rows)
    assert cost.basis == "measured by bench profile" and cost.cell_s == [(pytest.approx(2.0), pytest.approx(2.0))]
    for text in ("{}", "[", '{"profile": [{"size_px": "large"}]}'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(BenchError, match=r"no device check .* writes one"):
            measured_rows(file)


def test_tf32_is_another_peak_than_float32() -> None:
    device = load_devices()["h100"]
    peaks = [device.peak_tflops(FULL.model_copy(update={"tf32": tf32})) for tf32 in ("auto", True)]
    assert peaks == [67, 494.5] and device.peak_tflops(Recipe()) == 989


def test_a_device_of_ones_own_joins_the_table(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    fields = 'title = "A6000"\nmemory_gb = 48\nfull_tflops = 38.7\nhalf_tflops = 155\nsource = "data sheet"\n'
    own.write_text("[devices.a6000]\n" + fields + "full = [0.1, 0.3]\nhalf = [0.05, 0.2]\n")
    assert list(load_devices(own)) == ["rtx3090", "h100", "a6000"]
    for text, hint in ((fields, "devices"), ("[devices.x]\n" + fields, "full"), ("devices = [", "TOML")):
        own.write_text(text)
        with pytest.raises(BenchError, match=hint) as told:
            load_devices(own)
        assert "own.toml" in str(told.value) and "\n" not in str(told.value)
    own.write_text("[devices.x]\n" + fields + "full = [0.5, 0.3]\nhalf = [0.05, 0.2]\n")
    with pytest.raises(BenchError, match=r"devices\.x\.full"):
        load_devices(own)
    with pytest.raises(BenchError, match="LOW,HIGH"):
        load_devices(utilisation="40")


def test_the_host_is_timed_by_the_code_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.costs.host import measure_host

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    found = measure_host(Request(), Recipe(image_size=64), map_px=64 * 64)
    assert min(found.load_s, found.validate_s, found.predict_s, found.score_s) > 0
    assert not list(tmp_path.iterdir()), "nothing is left behind"
