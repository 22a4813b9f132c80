"""A comparison on file may be a stranger's: whatever it says, one line or a table, and no file elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.errors import BenchError
from benchmark.robustness.comparison_files import Comparison
from benchmark.robustness.page_sections import robust_sections
from benchmark.robustness.study import kept_robustness

STUDY = Path(__file__).parents[3] / "results" / "reference" / "noise-study"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The committed study's records, with its comparison of denoisers alone."""
    folder = tmp_path / "inside" / "results"
    shutil.copytree(STUDY / "runs", folder / "runs")
    (folder / "robust").mkdir()
    shutil.copyfile(STUDY / "robust" / "denoising.json", folder / "robust" / "denoising.json")
    return folder


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../../../evil"),
        ("name", "a/b"),
        ("name", "Evil"),
        ("name", "other"),
        ("cells", []),
        ("cells", ["../../evil"]),
        ("cells", ["nobody/quick-12345678/seed0"]),
        ("corruptions", {}),
        ("corruptions", {"etis": ["jpeg"]}),
        ("corruptions", {"../../evil": ["jpeg"]}),
        ("corruptions", {"kvasir": []}),
        ("corruptions", {"kvasir": ["plague"]}),
        ("severities", []),
        ("severities", [9]),
        ("denoisers", []),
        ("denoisers", ["../../evil"]),
        ("protocol", "nobody"),
        ("schema", 2),
    ],
)
def test_a_strangers_comparison_is_refused_in_a_line_and_writes_nothing(results: Path, field: str, value: Any) -> None:
    path = results / "robust" / "denoising.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    before = {one for one in results.parents[1].rglob("*") if one.is_file()}
    with pytest.raises(BenchError) as fault:
        kept_robustness(results)
    assert "\n" not in str(fault.value)
    (section,) = robust_sections(results)
    assert section.problems and not section.sheets
    assert {one for one in results.parents[1].rglob("*") if one.is_file()} == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "../evil"), ("name", "main"), ("severities", [6]), ("corruptions", {"kvasir": ["plague"]}),
     ("corruptions", {"kvasir": []})],
)  # fmt: skip
def test_what_becomes_a_files_name_or_is_looked_up_is_checked_before_any_result_is_read(field: str, value: Any) -> None:
    good = json.loads((STUDY / "robust" / "denoising.json").read_text())
    assert Comparison.model_validate(good).name == "denoising"
    with pytest.raises(ValidationError):
        Comparison.model_validate({**good, field: value})
