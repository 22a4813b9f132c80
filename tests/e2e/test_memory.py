"""Each cell's memory is given back: a real run of twelve cells holds no more after the last than after the fourth."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from harness import NET, Bench, StartBench

BOUND_MB = 40
"""Less than one cell's network: 5.2 million weights are 21 MB, and with gradients, Adam and the best copy 105 MB."""
HEAVY = NET.replace(
    "nn.Conv2d(8, 16, 3, 2, 1)", "nn.Conv2d(8, 512, 3, 2, 1), nn.Conv2d(512, 1128, 3, 2, 1), nn.Conv2d(1128, 16, 1)"
)


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1000  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads resident memory from Linux's /proc")
def test_twelve_cells_hold_no_more_than_four(
    bench: Bench, start_bench: StartBench, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "heavy.py").write_text(HEAVY)
    fields = ("epochs=1", "image_size=64", "max_train_images=8", "max_val_images=4", "max_test_images=4")
    command = ["run", "--models", "./heavy.py:build", "--datasets", "phantom-kvasir"]
    command += ["--recipe", "smoke", "--no-track", "--no-time-first", "--seeds", ",".join(map(str, range(12)))]
    command += [word for field in fields for word in ("--set", field)]
    after: list[float] = []
    log = tmp_path / "log"
    with log.open("w") as file:
        process = start_bench(command, cwd=tmp_path, env=environment, stdout=file, stderr=file)
        while process.poll() is None:
            if log.read_text().count("\n  ok: ") > len(after):
                after.append(resident_mb(process.pid))
            time.sleep(0.005)
    assert process.returncode == 0 and len(after) == 12, log.read_text()[-1000:]
    assert max(after[4:]) - max(after[:4]) < BOUND_MB, [round(mb) for mb in after]
