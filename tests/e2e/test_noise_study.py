"""The committed noise study: its tables come from its records alone, and its page says what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from benchmark.report.sheets.files import write_tables
from benchmark.robustness.comparison_files import read_comparisons
from benchmark.robustness.summary import summarise
from benchmark.robustness.tables import sheets_of
from benchmark.runtime.source_tree import commits_in_no_history
from benchmark.store.layout import ResultsLayout
from benchmark.store.robust_pack import find_rows

STUDY = Path(__file__).parents[2] / "results" / "reference" / "noise-study"


def test_the_tables_are_those_that_the_records_give(tmp_path: Path) -> None:
    layout = ResultsLayout(STUDY)
    comparisons = read_comparisons(layout)
    assert [one.name for one in comparisons] == ["core", "denoising"]
    sheets = [sheet for one in comparisons for summary in summarise(one, layout) for sheet in sheets_of(summary)]
    write_tables(sheets, tmp_path, ("markdown", "csv"))
    made, committed = sorted(tmp_path.iterdir()), sorted((STUDY / "tables").glob("*.[mc]*"))
    assert [path.name for path in made] == [path.name for path in committed] and len(made) >= 16
    for path in made:
        assert path.read_bytes() == (STUDY / "tables" / path.name).read_bytes(), path.name


def test_means_follow_from_the_scores_of_single_images() -> None:
    """By numpy and pandas alone: the mean over seeds, corruptions, severities and images."""
    layout = ResultsLayout(STUDY)
    (comparison,) = (one for one in read_comparisons(layout) if one.name == "core")
    table = pd.read_csv(STUDY / "tables" / "core-robust.csv").query("ablation.isna() and trained_with.isna()")
    for model in ("unet", "bsanet"):
        cells = [
            cell for cell in comparison.cells
            if cell.startswith(f"{model}/") and not json.loads(layout.cell(cell).record.read_text())["recipe"]["noise"]
        ]  # fmt: skip
        assert len(cells) == 2
        for dataset, names in comparison.corruptions.items():
            values = [
                find_rows(layout.cell(cell), dataset, name, severity, "none", comparison.protocol)["dice"].mean()
                for cell in cells for name in names for severity in comparison.severities
            ]  # fmt: skip
            stated = table.query("model == @model and dataset == @dataset")["corrupted"].item()
            assert stated == pytest.approx(sum(values) / len(values), abs=2e-5)


def test_the_page_says_what_the_tables_say() -> None:
    """Every number of the page's tables stands in the CSV files."""
    page = (STUDY / "README.md").read_text()
    known = set()
    for path in (STUDY / "tables").glob("*robust*.csv"):
        for value in pd.read_csv(path).select_dtypes("number").to_numpy().ravel():
            known |= {f"{value:.3f}", f"{value:+.3f}", f"{100 * value:.0f} %"}
    rows = [line for line in page.splitlines() if re.match(r"\| (U-Net|BSANet|none|Gaussian|Shot|Speckle|[A-Z])", line)]
    numbers = [n for line in rows for n in re.findall(r"[+-]?\d\.\d{3}|\d+ %", line)]
    assert len(numbers) > 60
    assert [number for number in numbers if number not in known] == []


def test_it_holds_no_image_no_weight_no_machine_and_is_small() -> None:
    files = [path for path in STUDY.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6e6
    assert all("figures" in path.parts for path in files if path.suffix in {".png", ".pdf"})
    assert not any(path.suffix == ".pt" for path in files)
    commits = set()
    for path in (STUDY / "runs").rglob("run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["status"] == "ok" and not record["synthetic"] and "host" not in record["environment"]
        assert all(not any(test["leaked"].values()) for test in record["tests"].values())
        assert record["environment"]["commit_state"] == "clean"
        packed = json.loads((path.parent / "robust" / "packed.json").read_text())
        commits |= {record["environment"]["commit"], *(one["environment"]["commit"] for one in packed["results"])}
    lost = commits_in_no_history(commits)
    assert lost in (None, [])
