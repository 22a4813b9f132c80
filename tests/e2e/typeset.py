"""Compiling what tables write."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def compile_latex(body: str, folder: Path, *, options: str = "", packages: str = "booktabs") -> str:
    """Compile in a bare article and return the log."""
    head = f"\\documentclass[{options}]{{article}}\n\\usepackage{{{packages}}}\n\\begin{{document}}\n"
    document = head + body + "\\end{document}\n"
    (folder / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    log = (folder / "paper.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-3000:]
    assert "Missing character" not in log
    assert (folder / "paper.pdf").stat().st_size > 1000
    return log


needs_pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
