"""`bench audit published` from anywhere, and from an installed wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Bench

ROOT = Path(__file__).parents[2]
IMPOSSIBLE = [
    ("Kvasir", "Unet++"),
    ("CVC-EndoScene", "Unet++"),
    ("CVC-EndoScene", "PraNet"),
    ("CVC-EndoScene", "LDNet"),
]


def test_the_audit_finds_its_tables_from_any_folder(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "results" / "published").mkdir(parents=True)  # an empty one of the user's own is not in the way
    done = bench("audit", "published", "--json", "findings.json", code=1)
    findings = json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))
    assert all(list(one) == ["table", "dataset", "model", "rule", "message"] for one in findings)
    assert len(done.stdout.splitlines()) == len(findings)
    rows = [(f["dataset"], f["model"]) for f in findings if f["rule"].startswith("iou-")]
    assert rows == IMPOSSIBLE
    claims = [f["message"] for f in findings if f["rule"] == "claim"]
    assert len(claims) == 1 and "ranking first in all six test indicators" in claims[0]
    assert {f["rule"] for f in findings} == {"iou-below-bound", "iou-above-dice", "claim", "across-papers"}


def test_a_table_of_ones_own(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("dataset,model,mDSC,mIoU\nKvasir,Net,0.90,0.95\n", encoding="utf-8")
    done = bench("audit", "published", "mine.csv", code=1)
    assert done.stdout.count("\n") == 1 and "iou-above-dice" in done.stdout and "Net" in done.stdout
    assert "cannot read it" in bench("audit", "published", "absent.csv", code=2).stderr


def test_columns_that_are_not_read_are_named(bench: Bench, tmp_path: Path) -> None:
    rows = {"mdice": "mDice,mIoU,MAE", "renamed": "Dice,IoU,MAE", "right": "mDSC,mIoU,MAE"}
    for name, head in rows.items():
        (tmp_path / f"{name}.csv").write_text(f"dataset,model,{head}\nkvasir,A,0.50,0.90,0.03\n", encoding="utf-8")
    said = bench("audit", "published", "mdice.csv", "renamed.csv").stderr
    assert "mdice.csv: ignored columns: mDice (meant as mDSC?)" in said
    assert "renamed.csv: ignored columns: Dice (meant as mDSC?), IoU (meant as mIoU?)" in said
    done = bench("audit", "published", "right.csv", code=1)
    assert "iou-above-dice" in done.stdout and "not read" not in done.stderr


@pytest.mark.slow
def test_a_wheel_carries_the_published_numbers(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 is not installed")
    source, wheels, site = tmp_path / "source", tmp_path / "wheels", tmp_path / "site"
    for name in ("benchmark", "baselines", "bsanet", "results/published"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*build, "-w", str(wheels), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.glob("*.whl")
    shutil.unpack_archive(wheel, site, "zip")
    code = "from benchmark.cli import main; import benchmark, sys; print(benchmark.__file__, file=sys.stderr); main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "audit", "published"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and str(site) in done.stderr, done.stderr
    assert "Table 4, CVC-EndoScene, LDNet" in done.stdout
