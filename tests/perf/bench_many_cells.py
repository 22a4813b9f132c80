"""How long reports take over many cells, in one process, on one thread; generated records, no images.

    python tests/perf/bench_many_cells.py [CELLS ...]

Writes folders of that many cells (40 models, the rest seeds; four test sets of 100 images) below a temporary folder and
times `bench tables --ci --significance`, `bench compare` and `bench report --no-images`. Target: 10 s each at 1,000
cells, and twice the time for twice the cells.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from made_results import write_results

from benchmark.report.page.page import PageOptions, build_page
from benchmark.report.tables.request import TableRequest, build
from benchmark.report.tables.sides import compare_folders
from benchmark.store import io

SETS = {"kvasir": 100, "etis": 100, "colondb": 100, "endoscene": 100}
NUM_MODELS = 40


def folders(root: Path, num_cells: int) -> tuple[Path, Path]:
    """Write two folders of the same cells with other scores."""
    seeds = tuple(range(max(1, num_cells // NUM_MODELS)))
    means = {f"m{i:02}": 0.6 + i / 200 for i in range(NUM_MODELS)}
    return tuple(write_results(root / name, means, seeds=seeds, sets=SETS, draw=k) for k, name in enumerate("ab"))  # type: ignore[return-value]


def timed(what: str, do: Callable[[], object]) -> None:
    start = time.perf_counter()
    cpu = time.process_time()
    do()
    print(f"  {what}: {time.perf_counter() - start:.1f} s ({time.process_time() - cpu:.1f} s of CPU)", flush=True)


def main() -> None:
    for num_cells in map(int, sys.argv[1:] or ["250", "500", "1000"]):
        with tempfile.TemporaryDirectory() as root:
            a, b = folders(Path(root), num_cells)
            print(f"{num_cells} cells")
            request = TableRequest(results=a, ci=True, significance="m00")
            timed("tables --ci --significance", lambda r=request: [one.sheet.to_markdown() for one in build(r)])  # type: ignore[misc]
            where = {"results": a, "protocol": "pranet", "recipe": None, "split": None, "top": 10}
            timed("compare", lambda a=a, b=b, w=where: compare_folders(str(a), str(b), **w))  # type: ignore[misc]
            timed("report", lambda a=a: build_page(a, io.read_records(a), PageOptions(images=False)))  # type: ignore[misc]


if __name__ == "__main__":
    main()
