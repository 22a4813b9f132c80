"""How long reports take over many cells, in one process, on one thread; made records, no images.

    python tests/perf/bench_many_cells.py [CELLS ...] [--only tables compare report resume] [--keep FOLDER] [--profile]

Copies one cell of the committed CPU study (its record, 356 images under two protocols, curves and history) as that many
cells of 40 models with noise on the scores, twice, and times `bench tables --ci --significance`, `bench compare` and
`bench report --no-images` after imports. `resume` times what `bench run` does before its tables where every cell is
finished: the plan, and the check of each cell's record against its test images. Target: 10 s each at 1,000 cells, and
twice the time for twice the cells. Prints the first digits of each output's hash, to compare before and after a change.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import json
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from benchmark.metrics.measures import COLUMNS
from benchmark.report.page.page import PageOptions, build_page
from benchmark.report.tables.request import TableRequest, build
from benchmark.report.tables.sides import compare_folders
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout
from benchmark.study.events import SILENT
from benchmark.study.plan import Request, plan_study

PATTERN = next(Path(__file__).parents[2].glob("results/reference/cpu-study/main/runs/unet/*/seed0"))
NUM_MODELS = 40
WHAT = ("tables", "compare", "report", "resume")


def write_cells(root: Path, num_cells: int, *, draw: int) -> Path:
    """Write the cells below ``root``, unless they are there."""
    if root.is_dir():
        return root
    pattern = CellPaths(PATTERN)
    record, rows = io.read_record(pattern.record), io.read_scores(pattern.scores)
    files = {name: (PATTERN / name).read_bytes() for name in ("curves.npz", "history.csv")}
    columns = list(COLUMNS.values())
    for k in range(num_cells):
        model, seed = k % NUM_MODELS, k // NUM_MODELS
        rng = np.random.default_rng([draw, model, seed])
        noisy = rows[columns] + rng.normal(0.002 * model, 0.03, rows[columns].shape)
        mine = rows.assign(**noisy.clip(0, 1).astype("float32"))
        cell = f"m{model:02}/cpu-study-2a31cf8b/seed{seed}"
        paths = ResultsLayout(root).cell(cell)
        tests = {
            name: test.model_copy(update={"scores": _summary(mine[mine["dataset"] == name], test.scores)})
            for name, test in record.tests.items()
        }
        facts = {"cell": cell, "model": f"m{model:02}", "model_title": f"M{model:02}", "seed": seed, "tests": tests}
        io.write_record(paths, record.model_copy(update=facts))
        io.write_parquet(paths.scores, mine)
        for name, content in files.items():
            (paths.folder / name).write_bytes(content)
    return root


def _summary(rows: pd.DataFrame, scores: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    found = {}
    for protocol, old in scores.items():
        means = rows[rows["protocol"] == protocol][list(COLUMNS.values())].mean()
        found[protocol] = {**old, **{key: float(means[column]) for key, column in COLUMNS.items()}}
    return found


def report_of(a: Path, b: Path) -> dict[str, Callable[[], str]]:
    """Return what is timed, by name; each gives the text of its output."""
    where = {"results": a, "protocol": "pranet", "recipe": None, "split": None, "top": 10}
    request = TableRequest(results=a, ci=True, significance="m00")
    return {
        "tables": lambda: "\n".join(one.sheet.to_markdown() + one.sheet.to_latex() for one in build(request)),
        "compare": lambda: json.dumps(compare_folders(str(a), str(b), **where).to_json()),  # type: ignore[arg-type]
        "report": lambda: build_page(a, io.read_records(a), PageOptions(images=False)),
    }


def finished_study(root: Path, num_cells: int) -> Callable[[], str]:
    """Write finished records of a study with one seed per cell; return what plans the study and runs it again."""
    from benchmark.execution.runner import run_study  # torch, which the reports do without

    request = Request(
        models=["unet"], datasets=["phantom-kvasir"], recipe="smoke", seeds=range(num_cells), results=root / "r",
        cache_dir=root / "cache",
    )  # fmt: skip
    study = plan_study(request)
    pattern = io.read_record(CellPaths(PATTERN).record)
    for cell in study.cells:
        tests = {
            name: pattern.tests["kvasir"].model_copy(update={"fingerprint": one.fingerprint, "n": len(one.items)})
            for name, one in study.test_images(cell.recipe).items()
        }
        facts = {"cell": cell.id, "model": cell.spec.name, "recipe_name": cell.recipe.name, "seed": cell.seed}
        facts |= {"recipe_hash": cell.recipe.hash, "split": study.info, "train_sets": study.train_sets}
        facts |= {"tests": tests, "protocols": request.scoring.hashes, "synthetic": True}
        io.write_record(study.layout.cell(cell.id), pattern.model_copy(update=facts))

    def resume() -> str:
        records = run_study(plan_study(request), SILENT)
        assert all(record.created == pattern.created for record in records), "a cell was trained again"
        return "\n".join(record.cell for record in records)

    return resume


def timed(what: str, do: Callable[[], str], *, profile: bool) -> None:
    """Print the time, the CPU time and the hash of what comes back."""
    profiler = cProfile.Profile() if profile else None
    start, cpu = time.perf_counter(), time.process_time()
    text = profiler.runcall(do) if profiler else do()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    print(f"  {what}: {wall:.1f} s ({cpu:.1f} s of CPU), {len(text)} characters, {digest}", flush=True)
    if profiler:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats("benchmark", 45)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", type=int, default=[250, 500, 1000])
    parser.add_argument("--only", nargs="+", default=list(WHAT), choices=WHAT)
    parser.add_argument("--keep", type=Path, help="folder for the made cells, used again next time")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    for num_cells in args.cells:
        with tempfile.TemporaryDirectory() as made:
            root = (args.keep or Path(made)) / str(num_cells)
            made_of = {}
            if set(args.only) - {"resume"}:
                a, b = (write_cells(root / name, num_cells, draw=k) for k, name in enumerate("ab"))
                made_of = report_of(a, b)
            if "resume" in args.only:
                made_of["resume"] = finished_study(root / "study", num_cells)
            print(f"{num_cells} cells", flush=True)
            for name in args.only:
                timed(name, made_of[name], profile=args.profile)


if __name__ == "__main__":
    main()
