"""How long the statistics and `bench tables` take, in one process, on one thread.

    python tests/perf/bench_report.py

1. Intervals of all means and comparisons with one model: 6 models x 4 sets x 3 seeds (target 5 s).
2. The tables of 120 records (24 models x 5 seeds) x 800 images (4 sets of 200) from a temporary folder: reading and
   laying out after imports, plain (target 2 s), and with intervals, marks and ranks.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

import numpy as np
from made_results import write_results

from benchmark.report.records.blocks import Block
from benchmark.report.records.set_scores import score_reader
from benchmark.report.statistics.comparisons import mean_intervals, paired_comparisons
from benchmark.report.tables.build import build_tables
from benchmark.report.tables.ranks import rank_sheet
from benchmark.store import io

SETS = {"kvasir": 200, "etis": 200, "colondb": 200, "endoscene": 200}


def main() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"m{i}" for i in range(6))
    blocks = [
        Block(d, names, (0, 1, 2), rng.beta(5, 1, (6, 3, n)), np.arange(n), tuple(map(str, range(n))))
        for d, n in SETS.items()
    ]
    start = time.perf_counter()
    mean_intervals(blocks)
    paired_comparisons(blocks, reference="m0")
    print(f"intervals and tests of 6 models x 4 sets: {time.perf_counter() - start:.2f} s (target 5)")
    with tempfile.TemporaryDirectory() as folder:
        root = write_results(Path(folder), {f"m{i}": 0.8 for i in range(24)}, seeds=tuple(range(5)), sets=SETS)
        for what, options in (("plain", {}), ("--ci --significance --rank", {"ci": True, "significance": "m0"})):
            start = time.perf_counter()
            records = io.read_records(root)
            tables = build_tables(records, read=score_reader(root, "pranet"), **options)
            sheets = [*tables, rank_sheet(tables)] if options else tables
            texts = [one.sheet.to_latex() for one in sheets]
            print(f"120 records x 800 images, {what}: {time.perf_counter() - start:.2f} s, {len(texts)} tables")


if __name__ == "__main__":
    main()
