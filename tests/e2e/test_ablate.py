"""`bench ablate`: the switches are proven, the variants are ordinary cells, the differences are paired."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pandas as pd
import pytest
from harness import TINY, Bench

NET = """
import torch
from torch import nn

SWITCHES = {"wide": "the second layer", "none": "a switch that does nothing"}

class Net(nn.Module):
    def __init__(self, drop):
        super().__init__()
        layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()]
        if "wide" not in drop:
            layers += [nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Conv2d(8, 1, 1))

    def forward(self, image):
        return (nn.functional.interpolate(self.body(image), image.shape[-2:], mode="bilinear"),)

def build(drop=()):
    return Net(drop)
"""

SWITCHED = """
import copy
import torch
from torch import nn

SWITCHES = {"wide": "the path with the wide kernel"}
SWITCHABLE = ("wide",)

class Net(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.narrow = nn.Conv2d(3, 8, 3, padding=1)
        self.wide = None if "wide" in drop else nn.Conv2d(3, 8, 5, padding=2)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, image):
        features = self.narrow(image) + (0 if self.wide is None else self.wide(image))
        return (self.head(torch.relu(features)),)

    def switched_off(self, parts):
        off = copy.deepcopy(self)
        off.wide = None
        return off

def build(drop=()):
    return Net(drop)
"""

_FIELDS = ("epochs=1", "image_size=32", "max_train_images=8", "max_val_images=2", "max_test_images=4")
TINIEST = tuple(word for field in _FIELDS for word in ("--set", field))
"""For whole networks."""


@pytest.fixture
def ablate(bench: Bench, tmp_path: Path) -> Bench:
    (tmp_path / "my_net.py").write_text(NET)

    def call(*extra: str, code: int = 0):
        fixed = ("ablate", "--model", "./my_net.py", "--datasets", "phantom", "--recipe", "smoke", *TINY)
        return bench(*fixed, "--no-track", "--no-time-first", *extra, code=code)

    return call


def test_the_table_holds_scores_paired_differences_and_cost(ablate: Bench, tmp_path: Path) -> None:
    done = ablate("--drop", "wide", "--seeds", "0,1")
    assert "proof" in done.stderr and "my\\_net w/o" in done.stdout and "synthetic" in done.stdout
    frame = pd.read_csv(tmp_path / "results" / "tables" / "ablation-file_my_net_build.csv")
    assert len(frame) == 8 and set(frame["drop"]) == {"none", "wide"}
    cells = list((tmp_path / "results" / "runs").glob("*/*/*/scores.parquet"))
    assert len(cells) == 4, "two variants x two seeds, each an ordinary cell"
    records = [json.loads(c.with_name("run.json").read_text()) for c in cells]
    assert all(("wide" in r["parts"]) == (r["ablation"] == []) == ("wide" not in r["parts_off"]) for r in records)
    rows = pd.concat([pd.read_parquet(c).assign(variant=c.parts[-4]) for c in cells])
    rows = rows[(rows["protocol"] == "pranet") & (rows["dataset"] == "phantom-etis")]
    mean = rows.groupby("variant")["dice"].mean()
    difference = float(mean[mean.index.str.contains("no-wide")].iloc[0] - mean[~mean.index.str.contains("no-")].iloc[0])
    mine = frame[(frame["dataset"] == "phantom-etis") & (frame["drop"] == "wide")].iloc[0]
    assert mine["mDSC_difference"] == pytest.approx(difference, abs=1e-5)
    assert pd.isna(mine["mDSC_low"]) and pd.isna(mine["mDSC_high"]), "four images give no interval"
    full = frame[frame["drop"] == "none"].iloc[0]
    assert full["num_params"] - mine["num_params"] == 8 * 8 * 9 + 8 + 16 and full["gmacs"] > mine["gmacs"]
    assert mine["latency_ms"] > 0 and r"\toprule" in next((tmp_path / "results").rglob("ablation-*.tex")).read_text()
    assert {p.suffix for p in (tmp_path / "results" / "figures").iterdir()} == {".pdf", ".png"}
    page = (tmp_path / "results" / "tables" / "ablation-file_my_net_build.html").read_text()
    (figure,) = (tmp_path / "results" / "figures").glob("ablation-*.png")
    assert page.count("<table") == page.count("<caption>") == 4 and "my_net w/o" in page
    assert base64.b64encode(figure.read_bytes()).decode() in page and 'src="http' not in page
    assert f'data-value="{mine["mDSC"]:.6g}"' in page and "ablation-file_my_net_build.html" in done.stderr


def test_a_part_is_switched_off_in_the_trained_network_too(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "off_net.py").write_text(SWITCHED)
    fixed = ("ablate", "--model", "./off_net.py", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY)
    done = bench(*fixed, "--no-track", "--no-time-first")
    frame = pd.read_csv(tmp_path / "results" / "tables" / "ablation-file_off_net_build.csv")
    assert list(frame["how"]) == ["full", "trained without", "switched off"]
    assert "with the part switched off" in done.stdout
    (kept,) = (tmp_path / "results" / "runs").rglob("switched-off/wide/scores.parquet")
    full = pd.read_parquet(kept.parents[2] / "scores.parquet")
    off = pd.read_parquet(kept)
    assert list(off["id"]) == list(full["id"]) and not off["dice"].equals(full["dice"])
    mean = off[off["protocol"] == "pranet"]["dice"].mean()
    assert frame["mDSC"][2] == pytest.approx(mean, abs=1e-5) and not list(kept.parent.rglob("*.png"))
    assert len(list((tmp_path / "results" / "runs").rglob("run.json"))) == 2, "no cell of its own"
    written = kept.stat().st_mtime_ns
    bench(*fixed, "--no-track", "--no-time-first")
    assert kept.stat().st_mtime_ns == written, "kept while weights, images and protocols are the same"
    bench("export", "--out", "copy", "--compact")
    (copied,) = (tmp_path / "copy" / "runs").rglob("switched-off/wide/scores.parquet")
    assert pd.read_parquet(copied)["dice"].to_numpy() == pytest.approx(off["dice"].to_numpy(), abs=1e-6)


def test_a_switch_that_does_nothing_stops_before_training(ablate: Bench, tmp_path: Path) -> None:
    done = ablate("--drop", "wide,none", code=2)
    assert "without none" in done.stderr and "does nothing" in done.stderr
    assert not list((tmp_path / "results").rglob("run.json"))


def test_unknown_parts_and_models_without_parts_are_one_line(ablate: Bench, bench: Bench) -> None:
    assert "its parts are wide, none" in ablate("--drop", "deep", code=2).stderr
    done = bench("ablate", "--model", "./tiny_net.py", "--datasets", "phantom", code=2)
    assert "declares no parts" in done.stderr


def test_pretraining_cannot_be_dropped_from_a_random_start(bench: Bench) -> None:
    done = bench("ablate", "--drop", "pretraining", "--datasets", "phantom", "--recipe", "smoke", code=2)
    assert "nothing to drop" in done.stderr and "pretrained=true" in done.stderr


@pytest.mark.slow
def test_pretraining_alone_is_dropped_with_weights_from_a_folder(bench: Bench, tmp_path: Path) -> None:
    import timm
    import torch

    (tmp_path / "weights").mkdir()
    torch.manual_seed(3)
    swin = timm.create_model("swin_tiny_patch4_window7_224")
    torch.save(swin.state_dict(), tmp_path / "weights" / "bsanet.pth")
    tiny = TINIEST
    fixed = ("ablate", "--drop", "pretraining", "--set", "pretrained=true", "--datasets", "phantom-kvasir", *tiny)
    fixed = (*fixed, "--recipe", "smoke", "--no-track", "--no-time-first")
    assert "weights=FILE" in bench(*fixed, code=2).stderr, "without weights it is refused"
    assert not list((tmp_path / "results").rglob("run.json"))
    bench(*fixed, "--weights-dir", "weights")
    records = [json.loads(p.read_text()) for p in (tmp_path / "results" / "runs").glob("*/*/*/run.json")]
    used = {tuple(r["ablation"]): r["pretrained"] for r in records}
    assert set(used) == {(), ("pretraining",)}
    assert len(used[()]["sha256"]) == 64 and not used[("pretraining",)]["used"]
    parts = {tuple(r["ablation"]): "pretraining" in r["parts"] for r in records}
    assert parts == {(): True, ("pretraining",): False}


def test_a_record_lists_pretraining_only_where_weights_were_loaded(bench: Bench, tmp_path: Path) -> None:
    told = NET.replace('"none": "a', '"pretraining": "weights", "none": "a')
    told = told.replace("self.body = ", "self.weights_info = None\n        self.body = ")
    (tmp_path / "told_net.py").write_text(told)
    fixed = ("--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first")
    bench("run", "--models", "./told_net.py", *fixed)
    (path,) = (tmp_path / "results").rglob("run.json")
    record = json.loads(path.read_text())
    assert record["pretrained"] == {"used": False}
    assert (record["parts"], record["parts_off"]) == (["wide", "none"], ["pretraining"])


def test_the_order_and_repetition_of_parts_change_nothing() -> None:
    from benchmark.config import Recipe
    from benchmark.models.registry import get_spec
    from benchmark.study.variants import choose_variants

    spec, recipe = get_spec("bsanet"), Recipe()
    variants = choose_variants(spec, recipe, ["fsam", "isam", "isam"], factorial=False)
    assert variants == choose_variants(spec, recipe, ["isam", "fsam"], factorial=False)
    assert variants == [(), ("isam",), ("fsam",), ("isam", "fsam")]


def test_test_sets_of_an_earlier_run_do_not_disturb(ablate: Bench, bench: Bench) -> None:
    fixed = ("--recipe", "smoke", *TINY, "--no-track", "--no-time-first")
    bench("run", "--models", "./my_net.py", "--datasets", "phantom-kvasir,phantom-etis", *fixed)
    assert "my\\_net w/o" in ablate("--drop", "wide", "--datasets", "phantom-kvasir").stdout


def test_every_subset_when_asked(ablate: Bench, tmp_path: Path) -> None:
    rows = json.loads(ablate("--drop", "wide", "--factorial", "--json").stdout)
    assert [row["drop"] for row in rows[:2]] == ["none", "wide"]


@pytest.mark.slow
def test_bsanets_parts_on_phantom(bench: Bench, tmp_path: Path) -> None:
    tiny = TINIEST
    done = bench("ablate", "--datasets", "phantom-kvasir", "--recipe", "smoke", *tiny, "--no-track", "--no-time-first")
    for part in ("isam", "fsam", "rendering"):
        assert f"without {part}:" in done.stderr
    assert "without isam, fsam, rendering:" in done.stderr and "without pretraining" not in done.stderr
    assert len(list((tmp_path / "results" / "runs").glob("*/*/*/run.json"))) == 5


@pytest.mark.slow
def test_a_part_may_be_switched_off_without_a_variant_of_its_own(bench: Bench, tmp_path: Path) -> None:
    tiny = (*TINIEST, "--no-track")
    fixed = ("ablate", "--datasets", "phantom-kvasir", "--recipe", "smoke", *tiny, "--no-time-first", "--drop", "fsam")
    refused = bench(*fixed, "--off", "deep", code=2)
    assert "--off deep" in refused.stderr and "isam, fsam, rendering" in refused.stderr
    bench(*fixed, "--off", "rendering")
    frame = pd.read_csv(tmp_path / "results" / "tables" / "ablation-bsanet.csv")
    told = [("none", "full"), ("fsam", "trained without"), ("fsam", "switched off"), ("rendering", "switched off")]
    assert list(zip(frame["drop"], frame["how"], strict=True)) == told
    (record,) = (p for p in (tmp_path / "results").rglob("run.json") if "bsanet-no-fsam" not in str(p))
    used = json.loads(record.read_text())["training"]["used_in_prediction"]
    full, off = frame.iloc[0]["mDSC"], frame.iloc[3]["mDSC"]
    assert set(used) == {"rendering"} and (used["rendering"] or full == pytest.approx(off, abs=1e-9))
