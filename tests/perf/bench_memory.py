"""Show that a run's memory does not grow with the number of its cells: resident memory after each, of a real run.

    python tests/perf/bench_memory.py [--models all] [--seeds 3] [--size 96]

Runs `bench run` on phantom with a few images and one epoch per cell, and reads the process's resident memory (RSS)
from the operating system whenever a cell has ended. Prints it per cell, and the growth from the first round of all
models to the last; exits with 1 where that is more than 5 % of the memory after the first round. Linux only.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

LIMIT = 0.05
"""Largest growth between the mean of the first round and that of the last, as a share."""


def main() -> int:
    """Print the table; 0 if the growth is within its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="all", help="as for bench run")
    parser.add_argument("--seeds", type=int, default=3, help="rounds over all models")
    parser.add_argument("--size", type=int, default=96, help="side of the images in pixels")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cells = _run(args.models, args.seeds, args.size, Path(folder))
    by_seed = [[mb for cell, mb in cells if cell.endswith(f"seed{seed}")] for seed in range(args.seeds)]
    for cell, mb in cells:
        print(f"{cell:45} {mb:7.0f} MB")
    # cells come model by model, so each model's last seed is held against its first
    first, last = mean(by_seed[0]), mean(by_seed[-1])
    end, begin = cells[-1][1], cells[0][1]
    print(f"{len(cells)} cells; after each model's first cell {first:.0f} MB, after its last {last:.0f} MB: "
          f"{(last / first - 1):+.1%} (limit {LIMIT:.0%}); first cell {begin:.0f} MB, last {end:.0f} MB")  # fmt: skip
    return int(last / first - 1 > LIMIT)


def _run(models: str, seeds: int, size: int, folder: Path) -> list[tuple[str, float]]:
    fields = ("epochs=1", f"image_size={size}", "batch_size=4", "max_train_images=12", "max_val_images=4",
              "max_test_images=2")  # fmt: skip
    command = [str(Path(sys.executable).with_name("bench")), "run", "--models", models, "--datasets", "phantom-kvasir"]
    command += ["--recipe", "smoke", "--no-track", "--no-time-first", "--results", str(folder)]
    command += ["--seeds", ",".join(map(str, range(seeds)))]
    command += [word for field in fields for word in ("--set", field)]
    cells: list[tuple[str, float]] = []
    running = ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            started = re.match(r"\[\d+/\d+\] (\S.*)", line.strip())
            running = started[1] if started else running
            if line.startswith("  ok: "):
                cells.append((running, _rss_mb(process.pid)))
    if process.returncode:
        raise SystemExit(f"bench run ended with {process.returncode}")
    return cells


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1000  # type: ignore[index]


if __name__ == "__main__":
    sys.exit(main())
