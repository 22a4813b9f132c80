"""Getting started and every how-to guide run as written, in one folder, in the order of the list of guides."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from documents import GUIDES, PAGES, ROOT, run_page
from harness import Bench


@pytest.mark.slow
def test_every_guide_runs_as_written(bench: Bench, tmp_path: Path) -> None:
    printed = {page.stem: run_page(page, bench, tmp_path) for page in GUIDES}
    assert printed["start"].count("Synthetic images") >= 4 and (tmp_path / "results" / "report.html").is_file()


def test_the_list_names_every_guide() -> None:
    listed = re.findall(r"\]\((\w+\.md)\)", (PAGES / "guides" / "index.md").read_text())
    assert sorted(listed) == sorted(path.name for path in (PAGES / "guides").glob("*.md") if path.name != "index.md")


def test_the_page_of_recipe_fields_is_what_the_code_says() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    written = (PAGES / "reference" / "recipes.md").read_text(encoding="utf-8")
    assert written == generate["recipes_page"](), "out of date; write it again: python docs/generate.py"
