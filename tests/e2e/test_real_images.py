"""A handful of real images of each layout, through the installed command. Nothing of them is kept."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from harness import TINY, Bench

from benchmark.data.listing.datasets import list_dataset

pytestmark = pytest.mark.real_data


def handful(source: Path, target: Path, count: int) -> Path:
    """Copy a few pairs of each dataset into a data root of the same layout."""
    for name in ("kvasir", "clinicdb", "colondb", "ph2"):
        items = list_dataset(name, source)
        for item in items[:: max(1, len(items) // count)]:
            for path in (item.image_path, item.mask_path):
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return target


@pytest.fixture
def root(data_root: Path, tmp_path: Path) -> Path:
    return handful(data_root, tmp_path / "data", 16)


def test_polyp_sets_train_and_score_with_etis_blank(bench: Bench, root: Path, tmp_path: Path) -> None:
    run = ("run", "--models", "./tiny_net.py", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first")
    done = bench(*run, "--datasets", "polyp", "--data-root", str(root), "--allow-missing")
    tables = tmp_path / "results" / "tables"
    assert {p.stem for p in tables.glob("table-*.md")} == {
        "table-kvasir",
        "table-etis",
        "table-colondb",
        "table-endoscene",
    }
    etis = (tables / "table-etis.md").read_text()
    assert "polyp.grand-challenge.org" in etis and "synthetic" not in etis
    record = json.loads(next((tmp_path / "results" / "runs").rglob("run.json")).read_text())
    assert set(record["tests"]) == {"kvasir", "colondb", "endoscene"} and set(record["missing"]) == {"etis"}
    assert not record["synthetic"] and "colondb" in record["partial"] and "partial" in done.stderr


def test_missing_etis_is_refused_without_leave(bench: Bench, root: Path) -> None:
    done = bench("run", "--datasets", "polyp", "--data-root", str(root), "--no-time-first", code=2)
    assert "'etis' is missing" in done.stderr and "--allow-missing" in done.stderr


def test_data_list_and_check_know_what_is_there(bench: Bench, root: Path, data_root: Path) -> None:
    rows = {r["name"]: r for r in json.loads(bench("data", "list", "--json", "--data-root", str(data_root)).stdout)}
    assert rows["kvasir"]["found"] and not rows["etis"]["found"] and rows["cvc300"]["found"]
    reports = json.loads(
        bench("data", "check", "clinicdb", "ph2", "--json", "--data-root", str(root), code=None).stdout
    )
    assert [r["name"] for r in reports] == ["clinicdb", "ph2"]


@pytest.mark.slow
def test_native_recipes_train_every_baseline_on_real_kvasir_images(bench: Bench, root: Path, tmp_path: Path) -> None:
    """Each author's own steps (three scales, clamped gradients, colour exchange, crops...), small and from scratch."""
    small = ("image_size=64", "epochs=1", "batch_size=2", "max_train_images=2", "max_val_images=2", "max_test_images=2")
    options = [part for pair in (*small, "pretrained=false") for part in ("--set", pair)]
    models = "unet,pranet,sanet,ldnet,polyp_pvt"
    if os.environ.get("BENCH_TEST_FULL"):  # further networks that share their steps with one of these
        models += ",caranet,fcbformer,hardnet_mseg,pranet_v2,ssformer_s,unetplusplus,pranet_v2_res2net,ssformer_l"
    run = ("run", "--models", models, "--datasets", "kvasir", "--data-root", str(root), "--recipe", "native")
    bench(*run, *options, "--set", "load_size=96", "--no-track", "--no-time-first")
    records = {r["model"]: r for r in map(_read, (tmp_path / "results" / "runs").rglob("run.json"))}
    assert {name: record["status"] for name, record in records.items()} == dict.fromkeys(models.split(","), "ok")
    for name in {"pranet", "caranet", "hardnet_mseg", "pranet_v2"} & set(records):
        assert records[name]["recipe"]["multi_scale"] == "each" and records[name]["recipe"]["clip_value"] == 0.5
    if "pranet_v2" in records:
        assert records["caranet"]["recipe"]["augmentation"][0] == "rotate_always"
        assert records["fcbformer"]["recipe"]["schedule"] == "plateau"
        assert records["pranet_v2"]["recipe"]["postprocess"] == "minmax_floor"
        assert records["ssformer_s"]["recipe"]["warmup_by"] == "epoch"
        assert records["hardnet_mseg"]["num_params"] == 17_423_837, "without what the released file carries for nothing"
    assert records["polyp_pvt"]["recipe"]["optimizer"] == "adamw"
    assert "colour_exchange" in records["sanet"]["recipe"]["augmentation"]
    assert (
        records["ldnet"]["recipe"]["normalize"] == "none"
        and records["ldnet"]["recipe"]["select_metric"] == "val_iou_mean"
    )


def _read(path: Path) -> dict:
    return json.loads(path.read_text())
