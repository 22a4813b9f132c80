"""How much faster two workers are than one: the smoke grid on phantom (synthetic), one thread for each worker.

    python tests/perf/bench_scaling.py [--models all] [--seeds 0] [--workers 2] [--rounds 1]

Each study is the installed `bench run` in a process of its own, on a fresh results folder and one cache that was filled
before; the wall time of the whole command counts, with imports, planning, tables and all. Rounds alternate one worker
and several, so that a busy moment hits both; the ratio is of the medians (target 1.8 for two). The records of both
must hold the same scores. Where the time went is printed from the records: what is not in a cell is start-up.

The figure means something only where nothing else runs: the load before each study is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 1.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="all")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    walls: dict[int, list[float]] = {1: [], asked.workers: []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill_cache(root, asked)
        for k in range(asked.rounds):
            for workers, times in walls.items():
                times.append(study(root / f"{workers}-{k}", asked, workers))
        scores = {workers: scores_of(root / f"{workers}-0") for workers in walls}
    if scores[1] != scores[asked.workers]:
        sys.exit("the scores differ: one worker and several must find the same")
    one, many = (statistics.median(walls[workers]) for workers in walls)
    print(f"{asked.workers} workers: {one / many:.2f}x of one worker (target {TARGET} for two), same scores")


def fill_cache(root: Path, asked: argparse.Namespace) -> None:
    """Draw the phantom, decode it and compile the scoring, so that no study does it: one small cell."""
    study(root / "first", argparse.Namespace(models="unet", seeds="0"), 1, "--set", "epochs=1", quiet=True)


def study(results: Path, asked: argparse.Namespace, workers: int, *more: str, quiet: bool = False) -> float:
    """Seconds that one `bench run` takes on the wall."""
    command = [
        *(str(Path(sys.executable).with_name("bench")), "run", "--models", asked.models, "--seeds", asked.seeds),
        *("--datasets", "phantom", "--recipe", "smoke", "--no-time-first", "--no-track", "--quiet"),
        *("--workers", str(workers), "--results", str(results), *more),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "BENCH_CACHE_DIR": str(results.parent / "cache")}
    load = os.getloadavg()[0]
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - begun
    if not quiet:
        print(
            f"{workers} worker(s): {wall:.1f} s (load before: {load:.1f}); {_where(results, wall, workers)}", flush=True
        )
    return wall


def _where(results: Path, wall: float, workers: int) -> str:
    timing = {
        record["cell"]: sum(record["timing"][k] for k in ("train_s", "predict_s", "score_s"))
        for record in _records(results)
    }
    longest = max(timing, key=timing.__getitem__)
    busy = sum(timing.values())
    return (
        f"{busy:.1f} s in cells, {100 * busy / (wall * workers):.0f} % of the workers' time; "
        f"the longest is {longest} with {timing[longest]:.1f} s"
    )


def _records(results: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((results / "runs").rglob("run.json"))]


def scores_of(results: Path) -> dict[str, dict]:
    """Every score of every cell."""
    return {
        record["cell"]: {name: test["scores"] for name, test in record["tests"].items()} for record in _records(results)
    }


if __name__ == "__main__":
    main()
