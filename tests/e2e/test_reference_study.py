"""The committed study: its tables and charts come from its records alone, without images, torch or network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmark.runtime.source_tree import commits_in_no_history

STUDY = Path(__file__).parents[2] / "results" / "reference" / "cpu-study"
WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not to be loaded here")

sys.meta_path.insert(0, NoTorch())
from benchmark.cli import main
main()
"""
TABLES = {
    "tables": [
        ("--models", "all", "--seeds", "0,1,2", "--ci", "--significance", "bsanet", "--rank", "--power"),
        ("--ablation", "--ci", "--significance", "--power"),
    ],
    "tables-five-seeds": [
        ("--models", "unet,unetplusplus,bsanet", "--ci", "--significance", "bsanet", "--power"),
    ],
    "tables-half": [("--models", "all", "--seeds", "0,1,2", "--protocol", "half")],
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The study without its tables and charts."""
    shutil.copytree(STUDY, tmp_path / "study", ignore=shutil.ignore_patterns("tables*", "figures"))
    return tmp_path / "study"


def bench(environment: dict[str, str], *arguments: str | Path) -> str:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", TABLES)
def test_the_tables_are_those_that_the_records_give(copy: Path, environment: dict[str, str], folder: str) -> None:
    out = copy / "main" / folder
    for options in TABLES[folder]:
        bench(environment, "tables", "--results", copy / "main", "--out", out, "--latex", "--markdown", *options)
    names = sorted(path.name for path in (STUDY / "main" / folder).iterdir())
    assert names == sorted(path.name for path in out.iterdir()) and len(names) >= 8
    for name in names:
        assert (out / name).read_bytes() == (STUDY / "main" / folder / name).read_bytes(), name


def test_charts_comparison_and_page_need_no_more(copy: Path, environment: dict[str, str]) -> None:
    kinds = ("forest", "parameters", "training", "distribution")
    bench(environment, "plots", *kinds, "--results", copy / "main", "--datasets", "kvasir", "--seeds", "0,1,2")
    made = {path.name for path in (copy / "main" / "figures").iterdir()}
    assert made == {path.name for path in (STUDY / "main" / "figures").iterdir()} - {"ablation"}
    bench(environment, "report", "--results", copy / "main", "--no-images")
    page = (copy / "main" / "report.html").read_text(encoding="utf-8")
    assert "BSANet" in page and "data:image/jpeg" not in page
    found = json.loads(bench(environment, "compare", copy / "transfer-random", copy / "transfer-imagenet", "--json"))
    gains = {(row["dataset"], row["model"]): row["difference"] for row in found["numbers"] if row["measure"] == "mDSC"}
    assert len(gains) == 6 and min(gains.values()) > 0.3


def test_the_page_says_what_another_loss_changed(environment: dict[str, str], tmp_path: Path) -> None:
    page = (STUDY / "README.md").read_text().partition("\n## Another loss\n")[2].partition("\n## ")[0]
    lines = [line for line in page.splitlines() if line.startswith("| ")][1:]
    rows = [[cell.strip() for cell in line.split("|")[2:5]] for line in lines]
    parts = (STUDY / "main", STUDY / "structure-loss")
    compared = json.loads(bench(environment, "compare", *parts, "--json"))["numbers"]
    found = {(one["model"], one["dataset"]): one for one in compared if one["measure"] == "mDSC"}
    for first, model in ((0, "U-Net"), (2, "BSANet (ours)")):
        for place, dataset in enumerate(("kvasir", "clinicdb", "colondb")):
            one = found[model, dataset]
            assert rows[first][place] == f"{one['b']:.3f}"
            assert rows[first + 1][place] == signed(one["difference"], one["low"], one["high"])
    options = ("--seeds", "0,1,2", "--ci", "--significance", "bsanet", "--csv", "--out")
    bench(environment, "tables", "--results", parts[0], "--models", "all", *options, tmp_path / "main")
    bench(environment, "tables", "--results", parts[1], "--models", "unet,bsanet", *options, tmp_path / "loss")
    looks = pd.read_csv(tmp_path / "main" / "tables.csv")["p"].dropna().tolist()
    tables = pd.read_csv(tmp_path / "loss" / "tables.csv").set_index(["dataset", "model"])
    p = tables.loc[("kvasir", "unet"), "p"]
    assert len(looks) == 10 and sorted(looks)[0] < p < sorted(looks)[2], "the second or third of Holm's twelve steps"
    assert f"p is {p * (12 - sum(one < p for one in looks)):.3f}" in page
    for place, dataset in enumerate(("kvasir", "clinicdb", "colondb")):
        one = tables.loc[(dataset, "unet")]
        told = signed(one["mDSC_difference"], one["mDSC_difference_low"], one["mDSC_difference_high"])
        assert rows[4][place] == told + ("" if pd.isna(one["p_holm"]) else f", p {one['p_holm']:.3f}")


def signed(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.3f}" + ("" if low is None or pd.isna(low) else f" [{low:+.3f}, {high:+.3f}]")


def test_it_holds_no_image_no_weight_no_machine_and_is_small() -> None:
    files = [path for path in STUDY.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12e6
    assert {path.suffix for path in files} <= {
        "",
        ".md",
        ".tex",
        ".json",
        ".csv",
        ".parquet",
        ".npz",
        ".png",
        ".pdf",
        ".txt",
    }
    assert all("figures" in path.parts for path in files if path.suffix in {".png", ".pdf"})
    for path in (STUDY / "main" / "runs").rglob("run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["status"] == "ok" and not record["synthetic"] and "host" not in record["environment"]
        assert all(not any(test["leaked"].values()) for test in record["tests"].values())
        assert set(record["missing"]) == {"etis"}


def test_every_commit_named_is_in_the_history() -> None:
    named = {
        json.loads(path.read_text(encoding="utf-8"))["environment"]["commit"] for path in STUDY.rglob("run.json")
    } - {None}
    assert named
    lost = commits_in_no_history(named)
    if lost is None:
        pytest.skip("no whole git history is here")
    assert lost == []


NETWORKS = ("U-Net", "Unet++", "PraNet", "SANet", "LDNet", "BSANet")


def main_table() -> dict[str, list[str]]:
    """The cells of the page's main table, by model."""
    page = (STUDY / "README.md").read_text()
    rows = re.findall(r"^\| (\S+) \|(.*\[.*\].*) \| [\d.]+ M \|$", page, re.M)
    return {model: [cell.strip() for cell in cells.split("|")] for model, cells in rows if model in NETWORKS}


def test_the_page_says_what_the_tables_say() -> None:
    """Every number of the page's main table stands in the tables."""
    rows = main_table()
    assert len(rows) == 6
    for model, cells in rows.items():
        for name, cell in zip(("kvasir", "clinicdb", "colondb"), cells, strict=True):
            table = (STUDY / "main" / "tables" / f"table-{name}.md").read_text()
            (line,) = [line for line in table.splitlines() if line.startswith((f"| {model} |", f"| {model} (ours) |"))]
            first = re.sub(r"[*\\]|</?u>", "", line.split("|")[2]).replace("<br>", " ").strip()
            assert first == cell, (model, name)


def test_the_readme_says_what_the_page_says() -> None:
    """Its lines give the least and the greatest mDSC of each test set, and BSANet's; its table the page's column."""
    readme = (STUDY.parents[2] / "README.md").read_text()
    section = readme.partition("## What the reference study found")[2].partition("\n\n`bench study")[0]
    text = " ".join(section.split())
    means = {model: [cell.split()[0] for cell in cells] for model, cells in main_table().items()}
    kvasir, clinicdb, colondb = (sorted(column) for column in zip(*means.values(), strict=True))
    names = {cells[0]: model for model, cells in means.items()}
    assert f"{kvasir[0]} ({names[kvasir[0]]}) to {kvasir[-1]} ({names[kvasir[-1]]}) on Kvasir" in text
    assert f"{clinicdb[0]} to {clinicdb[-1]} on CVC-ClinicDB" in text
    assert f"{colondb[0]} to {colondb[-1]} on CVC-ColonDB" in text
    assert f"BSANet {', '.join(means['BSANet'])}." in text
    assert re.findall(r"^\| (\S+) \| (.*\[.*\]) \|", section, re.M) == [(m, c[0]) for m, c in main_table().items()]
    printed = {float(number) for number in re.findall(r"\b0\.\d{3}\b", text)}
    known = {
        float(number) for cells in main_table().values() for number in re.findall(r"\b0\.\d{3}\b", " ".join(cells))
    }
    assert printed <= known


def test_the_page_says_what_switching_parts_off_changed() -> None:
    """Means of differences over seeds and images, from the single scores of the networks with a part switched off."""
    page = (STUDY / "README.md").read_text()
    found: dict[tuple[str, str], list[float]] = {}
    for path in sorted((STUDY / "main" / "runs" / "bsanet").glob("*/seed*/switched-off/*/scores.parquet")):
        off, full = pd.read_parquet(path), pd.read_parquet(path.parents[2] / "scores.parquet")
        both = off.merge(full, on=["protocol", "dataset", "id"], suffixes=("", "_full"), validate="one_to_one")
        for name, rows in both[both["protocol"] == "pranet"].groupby("dataset"):
            found.setdefault((path.parent.name, str(name)), []).append(float((rows["dice"] - rows["dice_full"]).mean()))
    for part in ("rendering", "ISAM", "FSAM"):
        (line,) = re.findall(rf"^\| {part} switched off \|(.*)\|$", page, re.M)
        told = [cell.split()[0] for cell in line.split("|")[:3]]
        means = [found[part.lower(), name] for name in ("kvasir", "clinicdb", "colondb")]
        assert all(len(seeds) == 5 for seeds in means)
        assert [f"{sum(seeds) / 5:+.3f}" for seeds in means] == told, part
