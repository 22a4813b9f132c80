"""`bench --help`, `models`, `tables`, `data`: quick, lazy, and the same on every terminal."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Bench

HEAVY = ("torch", "numpy", "pandas", "mlflow", "timm", "matplotlib", "pydantic", "scipy", "optuna")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['bench', '--help']\n"
        "from benchmark.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('loaded', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("loaded []") and "Train and score:" in done.stdout


def test_every_command_has_an_example_in_its_help(bench: Bench) -> None:
    of_data = [["data", name] for name in ("list", "check", "fetch", "split", "show")]
    for command in (["run"], ["tables"], ["models"], *of_data):
        text = bench(*command, "--help").stdout
        assert "Example: bench " + " ".join(command) in " ".join(text.split()), command


def test_models_lists_the_six_in_the_papers_order(bench: Bench) -> None:
    names = [row["name"] for row in json.loads(bench("models", "--json").stdout)]
    assert names[:6] == ["unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet"]
    done = bench("models")
    assert done.stdout.splitlines()[0].split("\t") == ["name", "title", "summary"]
    assert "smp:<architecture>[:<encoder>]" in done.stderr


def test_a_model_is_described_with_its_parameters(bench: Bench) -> None:
    facts = json.loads(bench("models", "pranet", "--json").stdout)
    assert facts["parameters"] == "32,547,319"


def test_data_list_says_what_is_found(bench: Bench, tmp_path: Path) -> None:
    rows = {
        row["name"]: row for row in json.loads(bench("data", "list", "--json", "--data-root", str(tmp_path)).stdout)
    }
    assert rows["phantom-etis"]["found"] and not rows["etis"]["found"]


@pytest.mark.usefixtures("finished")
def test_tables_in_every_form(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "results" / "tables").rename(tmp_path / "old")
    latex = bench("tables", "--latex").stdout
    assert latex.count(r"\toprule") == 4 and "synthetic" in latex
    rows = list(csv.DictReader(io.StringIO(bench("tables", "--csv", "--datasets", "phantom-etis").stdout)))
    assert list(rows[0])[:9] == ["dataset", "model", "mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE", "n"]
    assert "| tiny\\_net |" in bench("tables").stdout
    assert bench("tables", "--html").stdout.count("<caption>") == 4
    half = json.loads(bench("tables", "--json", "--protocol", "half").stdout)
    full = json.loads(bench("tables", "--json").stdout)
    assert half[0]["protocol"] == "half" and half[0]["mDSC"] != full[0]["mDSC"]
    assert sorted(p.suffix for p in (tmp_path / "results" / "tables").glob("table-phantom-kvasir*")) == [
        ".html",
        ".md",
        ".tex",
    ]


def test_tables_without_leaked_images(tiny: Bench, bench: Bench, tmp_path: Path) -> None:
    """Phantom's sequences lie on both sides of split paper: the record lists them, the table counts them."""
    tiny("--set", "max_train_images=1000")
    (file,) = (tmp_path / "results" / "runs").glob("*/*/*/run.json")
    tests = json.loads(file.read_text())["tests"]
    leaked = tests["phantom-kvasir"]["leaked"]
    assert leaked["exact"] == [] and len(leaked["near"]) + len(leaked["sequence"]) == 4
    assert tests["phantom-etis"]["leaked"] == {"exact": [], "near": [], "sequence": []}
    text = bench("tables", "--exclude-leaked", "--datasets", "phantom-kvasir").stdout
    assert "of a training sequence or scene" in text and "every test image is leaked" in text
    assert "No test image is leaked" in bench("tables", "--exclude-leaked", "--datasets", "phantom-etis").stdout
    rows = json.loads(bench("tables", "--exclude-leaked", "--leak-kinds", "exact", "--json").stdout)
    assert rows[0]["mDSC_clean"] == rows[0]["mDSC"] and rows[0]["n_clean"] == 4
    assert "--leak-kinds same" in bench("tables", "--exclude-leaked", "--leak-kinds", "same", code=2).stderr
