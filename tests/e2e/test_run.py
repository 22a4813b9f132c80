"""`bench run` on phantom: what it prints, what it writes, that it repeats, continues and keeps."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import TINY, Bench, StartBench, until
from PIL import Image
from six_models import readme_command

from benchmark.data.files.decode import decode_mask_grey
from benchmark.data.listing.datasets import list_dataset

Done = subprocess.CompletedProcess[str]
PHANTOM = ["phantom-kvasir", "phantom-etis", "phantom-colondb", "phantom-endoscene"]


def record_of(root: Path, pattern: str = "*") -> dict:
    (file,) = (root / "results" / "runs").glob(f"{pattern}/*/*/run.json")
    return json.loads(file.read_text())


def folder_of(root: Path) -> Path:
    (file,) = (root / "results" / "runs").glob("*/*/*/run.json")
    return file.parent


def test_a_cell_leaves_everything_that_the_dictionary_promises(
    finished: Done, tmp_path: Path, shared_cache: Path
) -> None:
    record, folder = record_of(tmp_path), folder_of(tmp_path)
    assert record["status"] == "ok" and record["synthetic"] is True and list(record["tests"]) == PHANTOM
    assert record["environment"]["packages"]["torch"] and record["timing"]["train_s"] > 0
    assert {p.name for p in folder.iterdir()} == {
        "run.json",
        "history.csv",
        "scores.parquet",
        "curves.npz",
        "maps",
        "best.pt",
        "model.txt",
        "worst",
    }
    assert {p.stem for p in (folder / "worst").iterdir()} == set(PHANTOM)
    assert (folder / "model.txt").read_text().startswith(f"tiny_net: {record['num_params']:,} parameters")
    rows = pd.read_parquet(folder / "scores.parquet")
    assert len(rows) == 4 * 4 * 4 and set(rows["protocol"]) == {"pranet", "pranet-matlab", "half", "ldnet"}
    scores = record["tests"]["phantom-kvasir"]["scores"]["pranet"]
    mine = rows[(rows["protocol"] == "pranet") & (rows["dataset"] == "phantom-kvasir")]
    for column, key in (("dice", "mDSC"), ("iou", "mIoU"), ("sm", "S_alpha"), ("wfm", "F_beta_w"), ("mae", "MAE")):
        assert mine[column].mean() == pytest.approx(scores[key], abs=1e-12)
    assert mine["em_max"].mean() == pytest.approx(scores["E_phi_max"], abs=1e-12)
    masks = {item.id: item.mask_path for item in list_dataset("phantom-kvasir", cache_dir=shared_cache)}
    for image_id in mine["id"]:
        with Image.open(folder / "maps" / "phantom-kvasir" / f"{image_id}.png") as prob:
            assert prob.mode == "L" and prob.size[::-1] == decode_mask_grey(masks[image_id]).shape
    assert "synthetic" in finished.stdout and "validate" in finished.stderr


def test_the_same_command_twice_gives_identical_bytes(finished: Done, tiny: Bench, tmp_path: Path) -> None:
    tiny("--results", "b/results")
    one, two = folder_of(tmp_path), folder_of(tmp_path / "b")
    assert one.relative_to(tmp_path) == two.relative_to(tmp_path / "b")
    for name in ("history.csv", "scores.parquet", "curves.npz"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    for prob in (one / "maps").rglob("*.png"):
        assert prob.read_bytes() == (two / prob.relative_to(one)).read_bytes()


def test_another_engine_scores_again_gives_the_same_numbers_and_is_recorded(
    finished: Done, tiny: Bench, tmp_path: Path
) -> None:
    before = record_of(tmp_path)
    assert before["engine"] == "fast"
    assert "kept: mDSC" not in tiny("--engine", "reference").stderr
    after = record_of(tmp_path)
    assert after["engine"] == "reference"
    one, two = before["tests"], after["tests"]
    for name in PHANTOM:
        for protocol, scores in one[name]["scores"].items():
            if protocol in ("pranet", "half"):  # what py_sod_metrics can follow
                assert scores == pytest.approx(two[name]["scores"][protocol], abs=1e-9), (name, protocol)


def test_finished_cells_are_kept_and_overwritten_only_when_asked(finished: Done, tiny: Bench, tmp_path: Path) -> None:
    created = record_of(tmp_path)["created"], (folder_of(tmp_path) / "best.pt").stat().st_mtime_ns
    assert "kept: mDSC" in tiny().stderr and "kept: mDSC" in tiny("--if-exists", "skip").stderr
    assert created == (record_of(tmp_path)["created"], (folder_of(tmp_path) / "best.pt").stat().st_mtime_ns)
    tiny("--if-exists", "overwrite")
    assert (folder_of(tmp_path) / "best.pt").stat().st_mtime_ns != created[1]


def test_seeds_and_recipes_have_cells_of_their_own(finished: Done, tiny: Bench, tmp_path: Path) -> None:
    tiny("--seeds", "0,1")
    tiny("--set", "lr=0.01")
    cells = sorted((tmp_path / "results" / "runs").glob("*/*/*/run.json"))
    assert len(cells) == 3 and len({c.parent.parent.name for c in cells}) == 2
    histories = {(c.parent / "history.csv").read_text() for c in cells}
    assert len(histories) == 3


def test_a_model_that_fails_is_recorded_and_does_not_stop_the_others(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "import torch\nclass N(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.c = torch.nn.Conv2d(3, 1, 1)\n"
        "        self.count = 0\n"
        "    def forward(self, x):\n        self.count += 1\n        if self.count > 3:  # the trial passes three\n"
        "            raise RuntimeError('no forward')\n        return (self.c(x),)\n"
        "def build():\n    return N()\n"
    )
    models = "./broken.py:build,./tiny_net.py:build"
    done = bench(
        "run",
        "--models",
        models,
        "--datasets",
        "phantom",
        "--recipe",
        "smoke",
        *TINY,
        "--no-track",
        "--no-time-first",
        code=1,
    )
    assert record_of(tmp_path, "file_broken*")["status"] == "failed"
    assert "no forward" in record_of(tmp_path, "file_broken*")["error"]
    assert record_of(tmp_path, "file_tiny*")["status"] == "ok"
    assert "no forward" in done.stdout, "the table's note says why the row is blank"


def test_a_loss_that_explodes_is_recorded_as_diverged_and_a_study_of_failures_ends_in_their_reasons(
    tiny: Bench, tmp_path: Path
) -> None:
    done = tiny("--set", "loss=native", "--set", "lr=1e30", "--set", "optimizer=sgd", code=1)
    assert record_of(tmp_path)["status"] == "diverged"
    assert "diverged" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(
    finished: Done, start_bench: StartBench, tmp_path: Path, environment: dict[str, str]
) -> None:
    arguments = ["run", "--models", "./tiny_net.py:build", "--datasets", "phantom", "--recipe", "smoke", *TINY]
    arguments += ["--no-track", "--no-time-first", "--seeds", "0,1", "--set", "epochs=4000"]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = start_bench(arguments, cwd=tmp_path, env=environment, stdout=file, stderr=file)
    until(lambda: "epoch 3/" in log.read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    rest = log.read_text()
    assert "finished cells are kept" in rest and "Traceback" not in rest
    states = {json.loads(f.read_text())["status"] for f in (tmp_path / "results" / "runs").glob("*/*/*/run.json")}
    assert states == {"ok", "interrupted"}
    assert not [f for f in (tmp_path / "results").rglob(".*") if f.name != ".bench"], "nothing half-written"


def test_plain_lines_show_cell_epoch_loss_and_rate(finished: Done) -> None:
    text = finished.stderr
    assert re.search(r"\[1/1\] file_tiny_net_build/smoke-[0-9a-f]{8}/seed0", text)
    assert re.search(r"epoch 2/2 loss \d\.\d+ +val Dice@0\.5 0\.\d+", text) and "images/s" in text


def test_json_is_one_document_on_standard_output(tiny: Bench) -> None:
    payload = json.loads(tiny("--json", "--datasets", "phantom-kvasir").stdout)
    assert payload["records"][0]["status"] == "ok" and payload["files"]


def test_a_dry_run_plans_and_writes_nothing(tiny: Bench, tmp_path: Path) -> None:
    plan = json.loads(tiny("--dry-run", "--json").stdout)
    assert len(plan["cells"]) == 1 and list(plan["tests"]) == PHANTOM
    assert not (tmp_path / "results").exists()


def test_the_plan_states_an_estimate_from_timed_steps(bench: Bench) -> None:
    text = bench("run", "--models", "./tiny_net.py", "--datasets", "phantom", "--recipe", "smoke", "--dry-run").stderr
    assert re.search(r"estimate +about \d+", text) and re.search(r"split +paper \(seed 0\)", text)


def test_test_sets_are_added_without_training_again_and_those_scored_before_are_kept(
    bench: Bench, tmp_path: Path
) -> None:
    fixed = ("run", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first")
    bench(*fixed, "--datasets", "phantom-kvasir")
    history = (folder_of(tmp_path) / "history.csv").stat().st_mtime_ns
    bench(*fixed, "--datasets", "phantom-kvasir,phantom-etis")
    before = record_of(tmp_path)["tests"]
    assert list(before) == ["phantom-kvasir", "phantom-etis"]
    bench(*fixed, "--datasets", "phantom-kvasir")
    assert record_of(tmp_path)["tests"]["phantom-etis"] == before["phantom-etis"]
    assert set(pd.read_parquet(folder_of(tmp_path) / "scores.parquet")["dataset"]) == {"phantom-kvasir", "phantom-etis"}
    assert (folder_of(tmp_path) / "history.csv").stat().st_mtime_ns == history


def test_missing_imagenet_weights_are_told_of_before_anything_is_timed(bench: Bench, tmp_path: Path) -> None:
    call = ("run", "--models", "unet,pranet", "--datasets", "phantom-kvasir", "--recipe", "smoke", "--set")
    said = bench(*call, "pretrained=true", code=2).stderr
    assert "estimate" not in said and "recipe " not in said and "Traceback" not in said
    last = said.splitlines()[-1]
    assert all(hint in last for hint in ("hf download", "--weights-dir", "--set pretrained=false"))
    assert not list((tmp_path / "results").rglob("run.json"))


def test_imagenet_weights_from_a_folder_are_used_and_recorded(tiny: Bench, tmp_path: Path) -> None:
    import timm
    import torch

    (tmp_path / "weights").mkdir()
    torch.manual_seed(3)
    torch.save(timm.create_model("res2net50d").state_dict(), tmp_path / "weights" / "sanet.pth")
    fixed = ("--models", "sanet", "--set", "pretrained=true", "--set", "epochs=1", "--set", "max_train_images=8")
    tiny(*fixed, "--weights-dir", "weights")
    record = record_of(tmp_path)
    assert record["status"] == "ok" and len(record["pretrained"]["sha256"]) == 64
    (tmp_path / "weights" / "sanet.pth").unlink()
    assert "no sanet.pth" in tiny(*fixed, "--weights-dir", "weights", code=2).stderr


@pytest.mark.parametrize("first", ["finished with another set", "never finished"])
def test_a_stop_while_scoring_loses_no_training(
    bench: Bench, start_bench: StartBench, tmp_path: Path, environment: dict[str, str], first: str
) -> None:
    fixed = ["run", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first"]
    slow = (tmp_path / "tiny_net.py").read_text()
    slow = slow.replace("    def forward(self, image):\n", "    def forward(self, image):\n        wait(self)\n")
    slow += (
        "\nimport inspect, os, pathlib, time\n"
        "def wait(net):\n"
        "    trained = any(pathlib.Path('results/runs').rglob('best.pt'))\n"
        "    scores = not net.training and not any('trial_pass' in frame.filename for frame in inspect.stack(0))\n"
        "    if trained and scores and os.environ.get('SLOW'):\n"
        "        pathlib.Path('waiting').touch()\n"
        "        for _ in range(600):\n"  # a signal between two statements does not cut a sleep short
        "            time.sleep(0.1)\n"
    )
    (tmp_path / "tiny_net.py").write_text(slow)
    if first.startswith("finished"):
        bench(*fixed, "--datasets", "phantom-kvasir")
    both = [*fixed, "--datasets", "phantom-kvasir,phantom-etis"]
    with (tmp_path / "log").open("w") as log:
        process = start_bench(both, cwd=tmp_path, env={**environment, "SLOW": "1"}, stdout=log, stderr=log)
    until((tmp_path / "waiting").exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    weights = (folder_of(tmp_path) / "best.pt").stat().st_mtime_ns
    bench(*both)
    assert (folder_of(tmp_path) / "best.pt").stat().st_mtime_ns == weights, "it was not trained again"
    assert list(record_of(tmp_path)["tests"]) == ["phantom-kvasir", "phantom-etis"]


def test_a_kept_cell_says_why_a_new_set_is_blank(bench: Bench, tmp_path: Path) -> None:
    fixed = ("run", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first")
    mine = tmp_path / "data" / "mine"
    for kind in ("images", "masks"):
        (mine / kind).mkdir(parents=True)
        for i in range(12):
            pixels = np.zeros((40, 40), np.uint8)
            pixels[i : 20 + i, 5:30] = 255
            Image.fromarray(pixels).save(mine / kind / f"{i}.png")
    bench(*fixed, "--datasets", "mine", "--data-root", "data")
    bench(*fixed, "--datasets", "mine,etis", "--data-root", "data", "--allow-missing")
    assert "grand-challenge" in record_of(tmp_path)["missing"]["etis"]


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_model_that_cannot_be_built_is_refused_before_anything_is_trained(
    bench: Bench, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "broken.py").write_text("def build():\n    return open('nothing')\n")
    fixed = ("--datasets", "phantom", "--recipe", "smoke", *TINY, "--no-track", *more)
    done = bench("run", "--models", "./tiny_net.py:build,./broken.py:build", *fixed, code=2)
    assert done.stderr.splitlines()[-1].startswith("error: model file:broken:build: FileNotFoundError in build()")
    assert not list((tmp_path / "results").rglob("run.json"))


@pytest.mark.slow
def test_command_one_of_the_readme(six_models: Path, bench: Bench, tmp_path: Path) -> None:
    assert readme_command() == ["bench", "run", "--models", "all", "--datasets", "phantom", "--recipe", "smoke"]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "runs").symlink_to(six_models / "results" / "runs")
    printed = bench("tables", "--latex").stdout
    assert printed.count(r"\begin{table}") == 4 and "synthetic" in printed
    with (six_models / "results" / "tables" / "tables.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 and all(row["mDSC"] for row in rows)
    assert [row["model"] for row in rows[:6]] == ["unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet"]
    for row in rows:
        numbers = np.array([float(row[k]) for k in ("mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE")])
        assert (numbers >= 0).all() and (numbers <= 1.001).all() and numbers[1] <= numbers[0]


def test_the_papers_recipe_needs_swin_weights_unless_told(bench: Bench, tmp_path: Path) -> None:
    call = ("run", "--models", "bsanet", "--datasets", "phantom-kvasir", "--recipe", "paper", "--no-track")
    last = bench(*call, code=2).stderr.splitlines()[-1]
    assert all(hint in last for hint in ("ImageNet", "hf download", "--weights-dir", "--set pretrained=false"))
    assert not list((tmp_path / "results").rglob("run.json"))
    planned = bench(*call, "--set", "pretrained=false", "--dry-run", "--no-time-first")
    assert "random initialisation" in planned.stdout + planned.stderr
