"""`bench estimate`, `run --estimate`, `ablate --estimate`: figures that can be computed again; nothing is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import TINY, Bench

MACS = 32 * 32 * 8 * 27 + 16 * 16 * 16 * 72 + 16 * 16 * 16  # of the tiny network at 64 px
STEP = MACS + 32 * 32 * 8 * 27 + 2 * (16 * 16 * 16 * 72 + 16 * 16 * 16)  # the image needs no gradient

SWITCHED = """
import torch
from torch import nn

SWITCHES = {"wide": "the wide middle"}

class Net(nn.Module):
    def __init__(self, drop):
        super().__init__()
        width = 4 if "wide" in drop else 16
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, 4, 1), nn.ReLU(), nn.Conv2d(width, 1, 1))

    def forward(self, image):
        return (nn.functional.interpolate(self.body(image), image.shape[-2:], mode="bilinear"),)

def build(drop=()):
    return Net(drop)
"""


def longest_first(seconds: list[float], devices: int) -> float:
    """List scheduling written once more, plainly."""
    ends = [0.0] * devices
    for one in sorted(seconds, reverse=True):
        ends[ends.index(min(ends))] += one
    return max(ends)


def test_the_cost_of_a_plan_follows_from_what_it_states(bench: Bench, tmp_path: Path) -> None:
    plan = ("run", "--models", "./tiny_net.py,./tiny_net.py:build", "--recipe", "smoke", *TINY, "--seeds", "0,1,2")
    found = json.loads(bench(*plan, "--datasets", "polyp", "--estimate", "--json").stdout)
    assert not (tmp_path / "results").exists()
    assert found["images"]["sources"]["kvasir"] == "published size (1000 images)" and found["num_cells"] == 3
    (network,) = found["networks"]
    assert network["forward_gmacs"] == pytest.approx(MACS / 1e9) and network["step_gmacs"] == pytest.approx(STEP / 1e9)
    work, host = network["work"], found["host_s_per_image"]
    assert work == {"train": 2 * 24, "val": 2 * min(205, found["recipes"][0]["max_val_images"] or 205), "test": 4 * 4}
    here, *gpus = found["devices"]
    cell = work["train"] * (1 / network["images_per_s_training"] + host["load_s"])
    cell += work["val"] * (1 / network["images_per_s_forward"] + host["validate_s"])
    cell += work["test"] * (1 / network["images_per_s_forward"] + host["predict_s"] + host["score_s"])
    assert here["cell_s"][0] == pytest.approx([cell, cell]) and here["hours"]["1"][0] == pytest.approx(3 * cell / 3600)
    for device in gpus:
        assert device["basis"] == "assumed" and device["source"]
        for k, share in enumerate(reversed(device["utilisation"])):
            per_mac = 2 / (device["peak_tflops"] * 1e12 * share)
            cell = work["train"] * (STEP * per_mac + host["load_s"])
            cell += work["val"] * (MACS * per_mac + host["validate_s"])
            cell += work["test"] * (MACS * per_mac + host["predict_s"] + host["score_s"])
            assert device["cell_s"][0][k] == pytest.approx(cell)
            for count, hours in device["hours"].items():
                assert hours[k] == pytest.approx(longest_first([cell] * 3, int(count)) / 3600)


@pytest.fixture
def profiled(bench: Bench, tmp_path: Path) -> Path:
    """A profile of the tiny network that says to come from an RTX 3090."""
    bench(
        "profile", "--models", "./tiny_net.py", "--size", "64", "--batches", "1,8", "--train", "smoke", "--repeats", "2"
    )
    file = tmp_path / "results" / "profile.csv"
    rows = file.read_text().splitlines()
    assert len(rows) == 3 and rows[1].endswith(",,,,"), "a batch of one image does not train"
    name = rows[0].split(",").index("device_name")
    changed = [",".join("RTX 3090" if k == name else v for k, v in enumerate(r.split(","))) for r in rows[1:]]
    file.write_text("\n".join([rows[0], *changed]) + "\n")
    return file


def test_a_measured_device_wins_over_the_assumption(bench: Bench, profiled: Path) -> None:
    import pandas as pd

    call = ("estimate", "--models", "./tiny_net.py", "--datasets", "phantom", "--recipe", "smoke", *TINY, "--json")
    found = json.loads(bench(*call).stdout)
    measured = {device["title"]: device for device in found["devices"]}["RTX 3090"]
    row = pd.read_csv(profiled).query("batch == 8").iloc[0]
    assert row["train_gmacs"] == pytest.approx(STEP / 1e9, abs=1e-4)
    work, host = found["networks"][0]["work"], found["host_s_per_image"]
    # rates are by multiply-adds, which the file rounds to four decimals
    step_s, forward_s = row["train_ms"] / 8e3, row["latency_ms"] / 8e3
    cell = work["train"] * (step_s * STEP / 1e9 / row["train_gmacs"] + host["load_s"])
    cell += work["val"] * (forward_s * MACS / 1e9 / row["gmacs"] + host["validate_s"])
    cell += work["test"] * (forward_s * MACS / 1e9 / row["gmacs"] + host["predict_s"] + host["score_s"])
    assert measured["basis"] == "measured by bench profile" and measured["utilisation"] is None
    assert measured["cell_s"][0] == pytest.approx([cell, cell])
    bench("profile", "--models", "./tiny_net.py", "--size", "64", "--batches", "8", "--repeats", "2")
    again = pd.read_csv(profiled)
    assert len(again) == 3 and again[again["device_name"] == "RTX 3090"]["train_ms"].notna().sum() == 1


def test_an_ablation_is_estimated_with_its_variants(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "switched.py").write_text(SWITCHED)
    fixed = ("--datasets", "phantom", "--recipe", "smoke", *TINY, "--json")
    alone = json.loads(bench("ablate", "--model", "./switched.py", *fixed, "--estimate").stdout)
    assert [network["ablation"] for network in alone["networks"]] == [[], ["wide"]]
    full, dropped = (network["step_gmacs"] for network in alone["networks"])
    assert full == pytest.approx(4 * dropped) and not (tmp_path / "results").exists()
    models = "./tiny_net.py,./switched.py"
    beside = json.loads(bench("estimate", "--models", models, "--ablate", "./switched.py", *fixed).stdout)
    assert beside["num_cells"] == 3, "the full model is trained once"


def test_the_tables_are_markdown_and_say_what_is_assumed(bench: Bench) -> None:
    plan = ("estimate", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, "--grow", "10x5x2", "--gpus", "1,4")
    text = bench(*plan, "--utilisation", "0.25").stdout
    assert text.count("\n|:--|") == 3 and "4-GPU node" in text and "| 25 % |" in text
    for words in ("the utilisation is our assumption", "Measured on", ", 1 thread)", "10 models x 5 sets x 2 seeds"):
        assert words in text


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--utilisation", "40"), "LOW,HIGH"),
        (("--grow", "many"), "MODELSxSETSxSEEDS"),
        (("--gpus", "0"), "expected whole numbers from 1,"),
        (("--hardware", "absent.toml"), "absent.toml"),
        (("--device", "tpu"), "--device tpu"),
        (("--models", "unett"), "did you mean"),
        (("--datasets", "kvasirr"), "did you mean"),
        (("--split", "absent.json"), "absent.json"),
        (("--ablate", "tiny"), "unknown model"),
    ],
)
def test_a_mistake_is_one_line(bench: Bench, options: tuple[str, str], hint: str) -> None:
    done = bench("estimate", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, *options, code=2)
    assert hint in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr and not done.stdout


def test_a_model_that_cannot_run_is_named_and_counts_as_nothing(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def build():\n    return open('nothing')\n")
    plan = ("--datasets", "phantom", "--recipe", "smoke", *TINY)
    found = json.loads(bench("run", "--models", "./broken.py,./tiny_net.py", *plan, "--estimate", "--json").stdout)
    assert len(found["networks"]) == 1 and "broken cannot run" in found["failed"][0]
    assert "nothing to estimate" in bench("run", "--models", "./broken.py", *plan, "--estimate", code=2).stderr


def test_a_split_file_is_counted_and_its_images_need_not_be_there(bench: Bench, tmp_path: Path) -> None:
    rows = [["kvasir", str(k), "0" * 16] for k in range(9)]
    split = {"schema": 1, "name": "mine", "seed": 4, "train": rows[:5], "val": rows[5:7], "tests": {"kvasir": rows[7:]}}
    (tmp_path / "mine.json").write_text(json.dumps({**split, "missing": {}, "partial": {}}))
    plan = ("estimate", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, "--split", "mine.json", "--json")
    images: dict[str, Any] = json.loads(bench(*plan).stdout)["images"]
    assert (images["train"], images["val"], images["tests"], images["seed"]) == (5, 2, {"kvasir": 2}, 4)
