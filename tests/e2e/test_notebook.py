"""The notebook runs from end to end in a real kernel, and what is stored in it is what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from documents import ROOT
from nbclient import NotebookClient

NOTEBOOK = ROOT / "docs" / "phantom.ipynb"


def outputs(notebook: Any) -> list[list[str]]:
    """MIME types of what each cell shows; notes on streams depend on what is cached."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[kind for one in cell.outputs for kind in sorted(one.get("data", {}))] for cell in code]


@pytest.mark.slow
def test_the_notebook_runs_from_end_to_end(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = nbformat.read(NOTEBOOK, as_version=4)
    run = nbformat.read(NOTEBOOK, as_version=4)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(shared_cache))
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):  # nothing is written to the user's folders
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    NotebookClient(run, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert outputs(run) == outputs(stored), "run the notebook again and store it with its outputs"
    table = next(
        o.data["text/html"] for c in run.cells for o in c.get("outputs", ()) if "caption" in str(o.get("data"))
    )
    assert "Synthetic images: these numbers say nothing about real polyps" in table and "wide" in table
    assert len(list((tmp_path / "notebook-results").rglob("run.json"))) == 2


def test_what_is_stored_names_no_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert '"output_type": "error"' not in text and "/home/" not in text and "/tmp/" not in text
