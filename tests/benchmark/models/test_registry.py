"""Models by name: lazy, with the nearest match, from files and entry points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import BenchError
from benchmark.models import registry

NET = """
import torch
class Net(torch.nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 1, 3, padding=1)
    def forward(self, image):
        return (self.conv(image),)
def build(width=4):
    return Net(width)
"""


def test_groups_are_the_papers_the_fields_and_both() -> None:
    names = {group: [s.name for s in registry.expand_models([group])] for group in registry.GROUPS}
    assert names["paper"] == names["all"] == list(registry.MODELS) and names["field"] == list(registry.FIELD)
    assert names["every"] == [*registry.MODELS, *registry.FIELD] and len(names["field"]) >= 7
    assert registry.expand_models(["unet", "paper"])[0].name == "unet"


def test_all_is_the_papers_six_in_the_papers_order() -> None:
    assert [s.title for s in registry.expand_models(["all"])] == [
        "U-Net",
        "Unet++",
        "PraNet",
        "SANet",
        "LDNet",
        "BSANet",
    ]


def test_the_field_is_known_beside_the_papers_six() -> None:
    titles = {
        "caranet": "CaraNet",
        "hardnet_mseg": "HarDNet-MSEG",
        "pranet_v2": "PraNet-V2 (PVTv2-B2)",
        "pranet_v2_res2net": "PraNet-V2 (Res2Net)",
        "polyp_pvt": "Polyp-PVT",
        "fcbformer": "FCBFormer",
        "ssformer_s": "SSFormer-S",
        "ssformer_l": "SSFormer-L",
    }
    assert {spec.name: spec.title for spec in registry.expand_models(list(titles))} == titles
    assert set(titles) <= set(registry.FIELD)
    assert not set(registry.FIELD) & {spec.name for spec in registry.expand_models(["all"])}


def test_naming_a_model_imports_no_network() -> None:
    code = (
        "import sys; from benchmark.models.registry import expand_models; expand_models(['all', 'unet:classic']); "
        "print([m for m in ('torch', 'timm', 'baselines', 'bsanet') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "near"), [("unett", "unet"), ("PraNet", "pranet"), ("bsnet", "bsanet")])
def test_unknown_name_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(BenchError, match=f"did you mean '{near}'"):
        registry.get_spec(name)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "my_net.py"
    file.write_text(NET)
    spec = registry.get_spec(f"{file}:build")
    model = registry.build_model(spec, width=2)
    assert type(model).__name__ == "Net" and spec.title == "my_net"
    before = registry.code_hash(spec)
    file.write_text(NET + "\n# changed\n")
    assert registry.code_hash(spec) != before


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        (NET, "nothing.py:build", "not found"),
        (NET, "my_net.py:make", "no function 'make'"),
        ("1 / 0", "my_net.py:build", "ZeroDivisionError"),
    ],
)
def test_faults_of_a_file_are_one_line(tmp_path: Path, text: str, name: str, hint: str) -> None:
    (tmp_path / "my_net.py").write_text(text)
    with pytest.raises(BenchError, match=hint):
        registry.build_model(f"{tmp_path}/{name}")


def test_unknown_option_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text(NET)
    with pytest.raises(BenchError, match="no option 'depth'; its options are width"):
        registry.build_model(f"{tmp_path}/my_net.py:build", depth=3)


def test_an_entry_point_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other_net.py").write_text(NET)
    info = tmp_path / "other_net-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-net\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench.models]\nothernet = other_net:build\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert type(registry.build_model("othernet")).__name__ == "Net"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(NET)
    with pytest.raises(BenchError, match="share the name"):
        registry.expand_models([f"{tmp_path}/a/net.py", f"{tmp_path}/b/net.py"])


def test_smp_names_are_taken_apart() -> None:
    assert registry.get_spec("smp:segformer:tu-mit_b0").options == {"arch": "segformer", "encoder": "tu-mit_b0"}
    with pytest.raises(BenchError, match="expected smp:"):
        registry.get_spec("smp::x")


def test_unet_plus_plus_is_written_both_ways() -> None:
    assert registry.get_spec("unet++") is registry.get_spec("unetplusplus")
