"""What the MLflow mirror costs, as a share of a smoke run (target: under 2 %).

    python tests/perf/bench_tracking.py [--models all]

Runs `bench run --recipe smoke --datasets phantom --no-track` and takes its processor time (user and system, children
included), so that a busy machine changes little. Then, in a new process, mirrors the records one by one as a live run
does: the import of MLflow, the database and every call are counted. Twice: with the empty database of the cache, as in
every results folder but a machine's first, and without it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = 0.02
MIRROR = """
import sys, time
from pathlib import Path
from benchmark.store import io
from benchmark.store.commands import read_commands
from benchmark.store.layout import ResultsLayout
layout = ResultsLayout(Path(sys.argv[1]))
records = io.read_records(layout.root)
begun = time.process_time()
from benchmark.tracking.mirror import Mirror
mirror = Mirror(layout)
for record in records:
    mirror.sync([record], read_commands(layout))
mirror.sync([], read_commands(layout))
print(time.process_time() - begun)
"""


def cpu_seconds(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Run a command; return the processor time of it and its children, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def mirror_seconds(results: Path, cache: Path) -> float:
    """Processor time of mirroring a results folder that was never mirrored."""
    (results / "mlflow.db").unlink(missing_ok=True)
    environment = {**os.environ, "BENCH_CACHE_DIR": str(cache)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [sys.executable, "-c", MIRROR, str(results)], env=environment, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def main() -> int:
    """Measure and compare; exit 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results, cache = Path(folder, "results"), Path(folder, "cache")
        command = [str(Path(sys.executable).with_name("bench")), "run", "--models", options.models]
        command += ["--datasets", "phantom", "--recipe", "smoke", "--no-track", "--quiet", "--results", str(results)]
        run, _ = cpu_seconds(command, {**os.environ, "BENCH_CACHE_DIR": str(cache)})
        first, later = mirror_seconds(results, cache), mirror_seconds(results, cache)
    print(f"smoke run of {options.models}: {run:.1f} s of processor time")
    print(f"mirror: {later:.2f} s, {100 * later / run:.2f} %; the first on this machine: {first:.2f} s")
    print("target:", "met" if later < TARGET * run else f"missed ({100 * TARGET:.0f} %)")
    return int(later >= TARGET * run)


if __name__ == "__main__":
    sys.exit(main())
