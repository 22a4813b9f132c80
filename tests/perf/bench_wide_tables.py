"""How long `bench tables` takes for the field: 16 models, 8 test sets, 3 seeds; made records, no images, no training.

    python tests/perf/bench_wide_tables.py [IMAGES PER SET]

Writes the records with per-image rows (100 images a set if no number is given) below a temporary folder and runs the
installed command, start-up included, three times for each line; prints the best time and the processor's. Target: a
table in 3 s.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from harness import bench_executable
from made_results import write_results

MODELS = {f"net{i:02}": 0.6 + i / 100 for i in range(16)}
SETS = ("kvasir", "clinicdb", "colondb", "cvc300", "etis", "polypgen", "piccolo", "sun-seg")
LINES = (
    ("--wide",),
    ("--wide", "--latex", "--std", "--percent"),
    ("--latex",),
    ("--wide", "--excel", "tables.xlsx"),
    ("--wide", "--latex", "--ci", "--significance", "net00"),
)
REPEATS = 3


def timed(arguments: tuple[str, ...], folder: Path) -> tuple[float, float]:
    """Seconds and processor seconds of one command."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [bench_executable(), "tables", "--results", "results", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after, spent = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begun
    return spent, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    per_set = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        write_results(folder / "results", MODELS, seeds=(0, 1, 2), sets=dict.fromkeys(SETS, per_set))
        print(
            f"{len(MODELS)} models, {len(SETS)} sets of {per_set} images, 3 seeds; {os.getloadavg()[0]:.1f} jobs ready"
        )
        for line in LINES:
            wall, cpu = min(timed(line, folder) for _ in range(REPEATS))
            print(f"bench tables {' '.join(line)}: {wall:.2f} s ({cpu:.2f} s of CPU)", flush=True)


if __name__ == "__main__":
    main()
