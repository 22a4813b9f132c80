"""Load of the machine during a long training: processor, memory, GPU."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any

LONG_RUN_S = 60.0
"""Trainings shorter than this are not watched."""
INTERVAL_S = 10.0
_MOST_ROWS = 720


class Sampler:
    """Sample in a separate thread while the body runs; ``rows`` has one dictionary per sample.

    The keys are those that MLflow's page shows under "system metrics", with units: ``cpu_utilization_percentage``,
    ``system_memory_usage_megabytes``, ``process_memory_usage_megabytes``, ``gpu_0_memory_usage_megabytes``,
    ``gpu_0_utilization_percentage``; ``time_s`` counts from the start of the body. A run of days keeps few rows: when
    there are too many, every second one is dropped and the interval doubled.

    Args:
        after_s: Nothing is sampled before this many seconds.
        interval_s: Seconds between samples.
    """

    def __init__(self, *, after_s: float = LONG_RUN_S, interval_s: float = INTERVAL_S) -> None:
        self.rows: list[dict[str, float]] = []
        self._after_s, self._interval_s = after_s, interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="system metrics", daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=5)

    def _watch(self) -> None:
        begun = time.monotonic()
        if self._ended.wait(self._after_s):
            return
        import psutil

        process = psutil.Process()
        psutil.cpu_percent()  # the first call has no earlier value to compare with
        while not self._ended.wait(self._interval_s):
            self.rows.append({"time_s": round(time.monotonic() - begun, 2), **_sample(psutil, process)})
            if len(self.rows) > _MOST_ROWS:
                self.rows = self.rows[::2]
                self._interval_s *= 2


def _sample(psutil: Any, process: Any) -> dict[str, float]:
    memory = psutil.virtual_memory()
    row = {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": round(memory.used / 1e6, 1),
        "system_memory_usage_percentage": memory.percent,
        "process_memory_usage_megabytes": round(process.memory_info().rss / 1e6, 1),
    }
    return row | _gpus()


def _gpus() -> dict[str, float]:
    """Memory of every CUDA device that this process uses; utilisation only if NVIDIA's library is installed.

    Asking any other device would open a context on it, which takes hundreds of megabytes.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    row = {}
    for index in range(torch.cuda.device_count()):
        if not torch.cuda.memory_reserved(index):  # the allocator's own count: touches no device
            continue
        free, total = torch.cuda.mem_get_info(index)
        row[f"gpu_{index}_memory_usage_megabytes"] = round((total - free) / 1e6, 1)
        row[f"gpu_{index}_memory_usage_percentage"] = round(100 * (total - free) / total, 1)
        try:
            row[f"gpu_{index}_utilization_percentage"] = float(torch.cuda.utilization(index))
        except Exception:  # nosec B112 # no NVML, or a device without the value: the column stays empty
            continue
    return row
