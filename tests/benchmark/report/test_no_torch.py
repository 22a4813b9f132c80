"""Reports need no torch, and matplotlib only where something is drawn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REPORT = Path(__file__).parents[3] / "benchmark" / "report"


def test_no_module_of_the_reports_loads_torch_or_matplotlib() -> None:
    files = [path.relative_to(REPORT.parents[1]) for path in sorted(REPORT.rglob("*.py")) if path.stem != "__init__"]
    names = [".".join(path.with_suffix("").parts) for path in files]
    load = f"import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"
    code = f"{load}print([name for name in ('torch', 'matplotlib', 'mlflow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(names) > 40 and done.stdout.strip() == "[]"


def test_a_table_without_statistics_loads_neither_scipy_nor_pandas(make_results: Callable[..., Path]) -> None:
    """They take a second and more; `python tests/perf/bench_wide_tables.py` times the whole command."""
    results = make_results(sets={"kvasir": 6, "etis": 4})
    code = (
        "import sys\nfrom pathlib import Path\nfrom benchmark.report.tables.request import TableRequest, build\n"
        f"made = build(TableRequest(results=Path({str(results)!r}), wide=True, std=True))\n"
        "assert '0.8' in made[0].sheet.to_latex() + made[0].sheet.to_markdown()\n"
        "print([name for name in ('scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
