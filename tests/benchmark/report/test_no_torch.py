"""Reports need no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPORT = Path(__file__).parents[3] / "benchmark" / "report"


def test_no_module_of_the_reports_loads_torch() -> None:
    names = [f"benchmark.report.{path.stem}" for path in sorted(REPORT.glob("*.py")) if path.stem != "__init__"]
    load = f"import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"
    code = f"{load}print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(names) > 15 and done.stdout.strip() == "False"
