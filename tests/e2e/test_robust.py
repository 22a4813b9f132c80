"""`bench robust`: finished cells on corrupted test images, through the installed command."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from harness import NET, TINY

import benchmark as bench
from benchmark.data.files.read_item import read_image, read_mask
from benchmark.data.listing.datasets import list_dataset
from benchmark.errors import BenchError
from benchmark.metrics import plan, score_all
from benchmark.prediction.network import network_of_run
from benchmark.robustness.cells import Asked
from benchmark.robustness.corruptions import corrupt
from benchmark.robustness.study import robustness

FILES = "./tiny_net.py:build,./tiny_net.py:build_again"
REFERENCE = "file:tiny_net:build"
Robust = Callable[..., "subprocess.CompletedProcess[str]"]
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def call(run_bench: Callable[..., subprocess.CompletedProcess[str]], shared_cache: Path) -> Call:
    """Run `bench` in a folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    environment = {**kept, "BENCH_CACHE_DIR": str(shared_cache), "COLUMNS": "200"}

    def run(home: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = run_bench(list(arguments), cwd=home, env=environment)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, call: Call) -> Path:
    """A folder with two finished networks of phantom, and one trained with noise in a results folder of its own."""
    folder = tmp_path_factory.mktemp("robust")
    (folder / "tiny_net.py").write_text(NET + "\n\ndef build_again():\n    return TinyNet()\n")
    common = ("--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY, "--no-track", "--no-time-first", "-q")
    call(folder, "run", "--models", FILES, *common)
    noisy = ("--set", 'noise=["shot_noise", "jpeg"]', "--results", "noisy")
    call(folder, "run", "--models", "./tiny_net.py:build", *common, *noisy)
    return folder


@pytest.fixture(scope="module")
def robust(home: Path, call: Call) -> Robust:
    def run(*arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
        return call(home, "robust", "--models", FILES, "--reference", REFERENCE, *arguments, **how)

    return run


ASKED = ("--corruptions", "gaussian_noise,contrast", "--severities", "1,5", "--denoise", "none,median")


@pytest.fixture(scope="module")
def measured(robust: Robust, home: Path) -> dict[str, bytes]:
    """The tables and figures of one command."""
    done = robust(*ASKED)
    assert "18 of 18 results measured now" in done.stderr
    return tables(home)


def tables(home: Path) -> dict[str, bytes]:
    files = [*(home / "results" / "tables").glob("robust*"), *(home / "results" / "figures").glob("robust*")]
    return {file.name: file.read_bytes() for file in files}


def test_a_result_is_what_the_network_predicts_on_the_corrupted_image(
    measured: dict[str, bytes], home: Path, shared_cache: Path
) -> None:
    rows = pd.read_csv(home / "results/tables/robust-corruptions.csv").set_index(["corruption", "model", "denoise"])
    (record,) = (home / "results/runs").glob("file_tiny_net_build/*/seed0/run.json")
    used = pd.read_parquet(record.parent / "scores.parquet").query("protocol == 'pranet'")
    items = [i for i in list_dataset("phantom-kvasir", cache_dir=shared_cache) if i.id in set(used["id"])]
    network = network_of_run(
        str(record.parent), results=home / "results", model=str(home / "tiny_net.py:build"), device="cpu"
    )
    by_severity = []
    for severity in (1, 5):
        images = [corrupt(read_image(i), "contrast", severity=severity, image_id=i.id) for i in items]
        for item, prob in zip(items, network.maps(images), strict=True):
            mask = read_mask(item)
            by_severity.append(score_all(prob, mask, plan=plan(mask), protocols=["pranet"])["pranet"].dice)
    assert rows.loc[("contrast", REFERENCE, "none"), "mDSC"] == pytest.approx(np.mean(by_severity), abs=2e-3)


def test_tables_hold_clean_corrupted_retention_and_mce(measured: dict[str, bytes], home: Path) -> None:
    table = pd.read_csv(home / "results/tables/robust.csv").set_index(["model", "denoise"])
    by_corruption = pd.read_csv(home / "results/tables/robust-corruptions.csv")
    assert len(table) == 4 and table["synthetic"].all()
    for (model, denoise), row in table.iterrows():  # noqa: B007 (named in the queries)
        mine = by_corruption.query("model == @model and denoise == @denoise").set_index("corruption")["mDSC"]
        base = by_corruption.query("model == @REFERENCE and denoise == 'none'").set_index("corruption")["mDSC"]
        assert row["corrupted"] == pytest.approx(mine.mean(), abs=2e-6)
        assert row["retention"] == pytest.approx(row["corrupted"] / row["clean"], abs=1e-5)
        assert row["mce"] == pytest.approx(((1 - mine) / (1 - base)).mean(), abs=1e-5)
        assert pd.isna(row["corrupted_low"]) and pd.isna(row["corrupted_high"])  # too few groups of images
    assert table.loc[(REFERENCE, "none"), "mce"] == 1 and pd.isna(table.loc[(REFERENCE, "none"), "p_holm"])
    changes = pd.read_csv(home / "results/tables/robust-changes.csv")
    assert list(changes["change"]) == ["denoised by median"] * 2
    text = (home / "results/tables/robust-phantom-kvasir.md").read_text()
    assert "Synthetic images" in text and "one seed" in text
    assert "Split paper (seed 0). Recipe smoke" in text and "Weights: random initialisation" in text
    assert "4 test images " in text, "they leak, also when corrupted"
    names = {name.rpartition(".")[2] for name in measured}
    assert names == {"csv", "tex", "md", "html", "pdf", "png"}


def test_the_same_command_measures_nothing_twice_and_writes_the_same_bytes(
    measured: dict[str, bytes], robust: Robust, home: Path
) -> None:
    assert "0 of 18 results measured now" in robust(*ASKED).stderr
    assert tables(home) == measured


def test_lost_and_damaged_results_are_measured_again_by_two_processes_with_the_same_bytes(
    measured: dict[str, bytes], robust: Robust, home: Path
) -> None:
    results = sorted((home / "results/runs").rglob("robust/*/*.json"))
    assert len(results) == 18
    results[0].unlink()
    results[1].write_text("{")
    results[2].with_suffix(".parquet").write_bytes(b"torn")
    payload = json.loads(results[3].read_text())
    results[3].write_text(json.dumps({**payload, "corruption_hash": "00000000"}))
    said = robust(*ASKED, "--workers", "2").stderr
    assert "4 of 18 results measured now" in said
    assert said.count("measured again: ") == 3 and "has different weights, images, corruption" in said
    assert tables(home) == measured


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"corruptions": ["gausian_noise"]}, "unknown corruption 'gausian_noise': did you mean 'gaussian_noise'?"),
        ({"severities": [0]}, "severity 0: expected an integer from 1 (mild) to 5"),
        ({"denoisers": ["medain"]}, "unknown denoiser 'medain': did you mean 'median'?"),
        ({"denoisers": ["weights.pt"]}, "denoiser weights.pt: not found"),
        ({"corruptions": ["low_dose_ct"]}, "defined for grey images only"),
        ({"datasets": ["kvasir"]}, "--datasets kvasir: "),
        ({"runs": ["sanet"]}, "--runs sanet: no finished cell with weights"),
        ({"models": ["unett"]}, "unknown model among the finished cells 'unett'"),
        ({"protocol": "pranett"}, "unknown protocol 'pranett'"),
        ({"results": Path("nowhere")}, "results folder nowhere: not found"),
    ],
)
def test_mistakes_are_named_with_the_next_step(
    home: Path, shared_cache: Path, fields: dict[str, Any], line: str
) -> None:
    asked = Asked(home / "results", models=(f"{home}/tiny_net.py:build",), cache_dir=shared_cache, reference=REFERENCE)
    with pytest.raises(BenchError) as error:
        robustness(replace(asked, **fields))
    assert line in str(error.value)


def test_a_mistake_ends_in_one_line_and_code_2(robust: Robust) -> None:
    assert robust("--severities", "mild", code=2).stderr.startswith("error: --severities mild: expected whole numbers")
    said = robust("--kept", "--severities", "1", "--seen", code=2).stderr
    assert said.startswith("error: --kept repeats ") and said.count("\n") == 1
    assert "leave out --models, --severities, --reference, --seen, or --kept" in said


def test_the_function_returns_what_the_command_wrote(
    measured: dict[str, bytes], home: Path, shared_cache: Path
) -> None:
    found = bench.robust(
        "gaussian_noise,contrast",
        results=home / "results",
        models=f"{home}/tiny_net.py:build",
        severities=(1, 5),
        reference=REFERENCE,
        cache_dir=shared_cache,
        out=home / "elsewhere",
    )
    table = pd.read_csv(home / "results/tables/robust.csv").set_index(["model", "denoise"])
    assert found.num_measured == 0 and len(found.summaries[0].rows) == 1
    assert found.summaries[0].rows[0].corrupted.value == pytest.approx(
        table.loc[(REFERENCE, "none"), "corrupted"], abs=1e-6
    )
    with pytest.raises(BenchError, match="unknown option 'severity': did you mean 'severities'"):
        bench.robust(results=home / "results", severity=3)


def test_denoise_trains_weights_that_stand_before_a_network_and_on_files(
    home: Path, call: Call, shared_cache: Path
) -> None:
    small = ["epochs=1", "image_size=32", "load_size=40", "max_train_images=8", "max_val_images=2", "warmup_epochs=0",
             "model_options={num_groups=1}"]  # fmt: skip
    sets = [word for one in small for word in ("--set", one)]
    trained = call(home, "denoise", "train", "--datasets", "phantom-kvasir", "--out", "d", *sets)
    assert trained.stdout.startswith("epoch 1: PSNR ") and "(synthetic): d/denoiser.pt" in trained.stdout
    asked = ("robust", "--models", "./tiny_net.py:build", "--reference", REFERENCE, "--severities", "5")
    done = call(home, *asked, "--corruptions", "shot_noise", "--denoise", "none,d/denoiser.pt")
    assert "+ attention-" in done.stdout and "denoised by attention-" in done.stdout
    picture = next(list_dataset("phantom-kvasir", cache_dir=shared_cache)[0].image_path.parent.glob("*"))
    applied = call(home, "denoise", "apply", str(picture), "--denoiser", "median", "--out", "clean")
    assert applied.stdout == "1 images: clean\n" and len(list((home / "clean").glob("*.png"))) == 1


def test_data_show_draws_corruptions(home: Path, call: Call) -> None:
    asked = ("data", "show", "phantom-kvasir", "--corruption", "jpeg,low_light", "--out", "sheet.png")
    done = call(home, *asked)
    assert done.stdout == "2 corruptions at 5 severities: sheet.png\n" and (home / "sheet.png").is_file()


def test_the_noise_study_is_commands_that_parse(home: Path, call: Call) -> None:
    asked = ("study", "noise-study", "--results", "mine", "--workers", "2", "--executor", "local", "--dry-run")
    lines = call(home, *asked).stdout.splitlines()
    assert [line.split(" --")[0] for line in lines] == [
        "bench run", "bench ablate", "bench run", "bench denoise train", "bench robust", "bench robust",
    ]  # fmt: skip
    assert "--split grouped" in lines[3] and "--out mine/denoiser" in lines[3] and "--results" not in lines[3]
    assert "--seen" in lines[5] and "none,nlm,mine/denoiser/denoiser.pt" in lines[5]
    assert lines[5].endswith("--results mine --workers 2") and "--executor local" in lines[0]


@pytest.fixture(scope="module")
def theirs(measured: dict[str, bytes], home: Path, call: Call) -> Path:
    """Maps that a network made elsewhere: predicted from the images on disk, named as their images."""
    asked = ("--corruptions", "contrast", "--severities", "1,5", "--images", "all", "--out", "corrupted")
    said = call(home, "data", "corrupt", "phantom-kvasir", *asked).stdout
    assert said.endswith(" in 2 folders: corrupted\n")
    (record,) = (home / "results/runs").glob("file_tiny_net_build/*/seed0/run.json")
    for severity in (1, 5):
        place = f"contrast-{severity}"
        source, out = f"corrupted/{place}/phantom-kvasir", f"predicted/{place}"
        call(home, "predict", source, "--run", str(record.parent), "--model", "./tiny_net.py:build", "--out", out)
        shutil.copytree(home / out / "probs", home / "maps" / place)
    clean = str(record.parent / "maps" / "phantom-kvasir")
    call(home, "evaluate", "--predictions", clean, "--dataset", "phantom-kvasir", "--images", "all",
         "--allow-partial", "--name", "Theirs")  # fmt: skip
    return home / "maps"


def test_maps_of_others_on_our_corrupted_images_score_as_the_network_here(theirs: Path, home: Path, call: Call) -> None:
    asked = ("robust", "--corruptions", "contrast", "--severities", "1,5", "--models", "theirs,./tiny_net.py:build",
             "--reference", REFERENCE, "--name", "others")  # fmt: skip
    done = call(home, *asked, "--maps", "theirs=maps")
    table = pd.read_csv(home / "results/tables/others-robust.csv").set_index("model")
    assert table.loc["theirs", "corrupted"] == table.loc[REFERENCE, "corrupted"]
    assert table.loc["theirs", "retention"] == table.loc[REFERENCE, "retention"]
    assert "Not trained here, with unknown corruptions (Theirs: maps by their authors)" in done.stdout
    assert "0 of 4 results measured now" in call(home, *asked, "--maps", "theirs=maps").stderr
    (record,) = (home / "results/runs").glob("file_tiny_net_build/*/seed0/run.json")
    scored = pd.read_parquet(record.parent / "scores.parquet")["id"].iloc[0]
    (lost,) = (theirs / "contrast-5").rglob(f"{scored}.png")
    kept = lost.read_bytes()
    lost.write_bytes(next((theirs / "contrast-1").rglob(lost.name)).read_bytes())
    assert "1 of 4 results measured now" in call(home, *asked, "--maps", "theirs=maps").stderr
    lost.write_bytes(kept)
    call(home, *asked, "--maps", "theirs=maps")
    for wrong, line in (
        (("--maps", "theirs"), "expected CELL=DIR"),
        (("--maps", "theirs=nowhere"), "nowhere: not a folder"),
        (("--maps", "ours=maps"), "--maps ours: no such cell"),
        (("--maps", "theirs=maps", "--denoise", "none,median"), "cannot be denoised; pass --denoise none"),
        (("--maps", "theirs=maps", "--corruptions", "jpeg"), "no folder jpeg-1; bench data corrupt writes"),
    ):
        said = call(home, *asked, *wrong, code=2).stderr
        assert line in said, (wrong, said)


def test_a_released_checkpoint_is_measured_by_its_file(measured: dict[str, bytes], home: Path, call: Call) -> None:
    import torch

    (record,) = (home / "results/runs").glob("file_tiny_net_build/*/seed0/run.json")
    network = network_of_run(
        str(record.parent), results=home / "results", model=str(home / "tiny_net.py:build"), device="cpu"
    )
    torch.save(network.model.state_dict(), home / "released.pth")
    call(home, "evaluate", "--checkpoint", "released.pth", "--model", "./tiny_net.py:build", "--dataset",
         "phantom-kvasir", "--images", "all", "--name", "Released", "--results", "outside")  # fmt: skip
    asked = ("robust", "--corruptions", "contrast", "--severities", "5", "--results", "outside", "--models",
             "./tiny_net.py:build")  # fmt: skip
    assert "1 of 1 results measured now" in call(home, *asked, "--checkpoint", "released.pth").stderr
    assert "no finished cell with weights matches" in call(home, *asked, code=2).stderr
    (home / "other.pth").write_bytes(b"other")
    assert "no cell was scored with it" in call(home, *asked, "--checkpoint", "other.pth", code=2).stderr
    assert "other2.pth: not found" in call(home, *asked, "--checkpoint", "other2.pth", code=2).stderr


def test_comparisons_have_names_and_stand_in_the_report_and_in_mlflow(
    theirs: Path, measured: dict[str, bytes], home: Path, call: Call
) -> None:
    call(home, "robust", "--models", FILES, "--reference", REFERENCE, *ASKED, "-q")
    call(home, "report", "--no-images")
    page = (home / "results/report.html").read_text()
    assert '<h2 id="robustness-h">Robustness</h2>' in page and "denoised by median" in page
    row = pd.read_csv(home / "results/tables/robust.csv").iloc[0]
    assert f"{row['corrupted']:.3f}" in page.partition('id="robustness-h"')[2]
    said = call(home, "robust", "--models", FILES, "--name", "Mine!", code=2).stderr
    assert said.startswith("error: --name Mine!: expected small letters, digits and hyphens")
    (kept,) = (home / "results/robust").glob("main.json")
    good = kept.read_text()
    kept.write_text("{")
    call(home, "report", "--no-images")
    kept.write_text(good)
    assert "not a comparison of bench robust" in (home / "results/report.html").read_text()
    call(home, "track")
    with sqlite3.connect(home / "results/mlflow.db") as database:
        logged = dict(database.execute("SELECT key, max(value) FROM metrics WHERE key LIKE 'robust %' GROUP BY key"))
    assert {key.partition("/")[0] for key in logged} >= {"robust contrast", "robust all", "robust all behind median"}


def test_a_cell_whose_images_are_others_is_named(home: Path, robust: Robust) -> None:
    (record,) = (home / "results/runs").glob("file_tiny_net_build/*/seed0/run.json")
    kept = record.read_text()
    payload = json.loads(kept)
    payload["tests"]["phantom-kvasir"]["fingerprint"] = "0" * 32
    record.write_text(json.dumps(payload))
    try:
        said = robust("--corruptions", "jpeg", code=2).stderr
    finally:
        record.write_text(kept)
    assert "the images on disk are not those that it was scored on" in said


def test_what_a_cell_was_trained_with_is_refused_unless_the_table_says_so(home: Path, call: Call) -> None:
    asked = ("robust", "--models", "./tiny_net.py:build", "--results", "noisy", "--severities", "3", "--reference",
             REFERENCE)  # fmt: skip
    said = call(home, *asked, "--corruptions", "jpeg,contrast", code=2).stderr
    assert "was trained with jpeg; leave out the corruption or the cell, or pass --seen" in said
    done = call(home, *asked, "--corruptions", "jpeg,contrast", "--seen")
    assert "‡ trained with corruptions that are tested here" in done.stdout
    assert "net, trained with noise‡" in done.stdout
    assert "‡" not in call(home, *asked, "--corruptions", "contrast").stdout


def test_an_export_makes_the_same_tables_and_a_tampered_one_is_refused(
    measured: dict[str, bytes], home: Path, call: Call
) -> None:
    call(home, *("robust", "--models", FILES, "--reference", REFERENCE, *ASKED, "-q"))
    call(home, "export", "--out", "exported", "--compact")
    call(home, "import", "exported", "--results", "imported")
    pages = []
    for results in ("results", "imported"):
        call(home, "report", "--no-images", "--results", results)
        text = (home / results / "report.html").read_text()
        pages.append(text.partition('id="robustness-h"')[2].partition("</section>")[0])
    assert "Clean, denoised" in pages[0] and pages[0].count("<td") == pages[1].count("<td")
    assert re.findall(r"<td[^>]*>\s*([^<]*)", pages[0]) == re.findall(r"<td[^>]*>\s*([^<]*)", pages[1])
    made = home / "made"
    call(home, "robust", "--kept", "--results", "imported", "--out", str(made))
    assert (made / "robust-changes.csv").is_file() and (made / "robust-phantom-kvasir-severity.png").is_file()
    theirs, ours = (pd.read_csv(folder / "robust.csv") for folder in (made, home / "results/tables"))
    pd.testing.assert_frame_equal(theirs, ours, atol=2e-6, rtol=0)
    said = call(home, "robust", "--kept", "--name", "nobody", "--results", "imported", code=2).stderr
    assert "no comparison named nobody; on file: (without a name)" in said
    (packed,) = (home / "exported/runs").glob("file_tiny_net_build/*/seed0/robust/packed.json")
    payload = json.loads(packed.read_text())
    payload["results"][0]["test"]["scores"]["pranet"]["mDSC"] += 0.01
    packed.write_text(json.dumps(payload))
    sums = home / "exported" / "SHA256SUMS"
    name = packed.relative_to(home / "exported").as_posix()
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    sums.write_text(re.sub(rf"[0-9a-f]{{64}}  {re.escape(name)}", f"{digest}  {name}", sums.read_text()))
    said = call(home, "import", "exported", "--results", "other", code=2).stderr
    assert "robust/packed.json: phantom-kvasir, " in said and "its images give" in said
