"""Executor ``ray``: cells as tasks of an existing Ray cluster, whose nodes share the results folder.

Their messages come back through a small actor on this machine's node. Ray's own retries are off: a cell whose worker or
node died is handed out again by the driver, which tells the next worker to wait until the dead one's lock is free.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, TaskCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from benchmark.errors import BenchError
from benchmark.execution.job import Job, Told, pack

if TYPE_CHECKING:
    from benchmark.execution.placement import Placement
    from benchmark.study.plan import Request, Study

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_CONNECT = 20.0
_PASSED_ON = ("HF_HUB_OFFLINE", "HF_HOME", "HF_ENDPOINT", "TORCH_HOME", "BENCH_NO_NUMBA")
_LAST = ("cell_finished", "busy", "refused", "stopped")


class RayCluster:
    """See ``benchmark.execution.driver.Executor``."""

    def __init__(self, study: Study, placement: Placement, num_cells: int, say: Callable[[str], None]) -> None:
        self._say, self._packed = say, pack(study.request)
        self._at_once = min(placement.workers or num_cells, num_cells)
        self._needs = needs(placement.options, study.request)
        self._running: dict[str, Any] = {}
        self._last_words: set[str] = set()
        self._joined = connect(placement.options.get("address"))
        self._warn()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mailbox: Any = ray.remote(_Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        self._packed_ref = ray.put(self._packed)

    def free(self) -> int:
        """Number of further cells to submit; those that find no room wait in Ray's queue."""
        return self._at_once - len(self._running)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Start a task for each."""
        task = ray.remote(_work).options(**self._needs, max_retries=0)
        for job in jobs:
            self._last_words.discard(job.cell)
            self._running[job.cell] = task.remote(self._packed_ref, asdict(job), self._mailbox)

    def listen(self, seconds: float) -> list[Told]:
        """Messages of the tasks, and which of them died."""
        try:
            return self._listen(min(seconds, _SECONDS_BETWEEN_LOOKS))
        except RayError as error:
            raise BenchError(
                f"the Ray cluster does not answer any more ({type(error).__name__}); finished cells are kept; "
                "run the same command again to continue"
            ) from error

    def _listen(self, seconds: float) -> list[Told]:
        refs = list(self._running.values())
        if refs:
            ended, _ = ray.wait(refs, num_returns=len(refs), timeout=seconds)
        else:
            ended = []
            time.sleep(seconds)
        heard: list[Told] = ray.get(self._mailbox.take.remote())  # after the look, so that last messages are there
        self._last_words |= {told["cell"] for told in heard if told["what"] in _LAST}
        for cell in [cell for cell, ref in self._running.items() if ref in ended]:
            reason = _how_it_died(self._running.pop(cell))
            if cell not in self._last_words:
                heard.append({"cell": cell, "what": "lost", "args": [reason or "its worker ended without a message"]})
        return heard

    def stop(self) -> None:
        """Interrupt every task, as Ctrl-C would; those that wait for room are dropped."""
        for ref in self._running.values():
            ray.cancel(ref, force=False)

    def kill(self) -> None:
        """Cancel what is still running."""
        for ref in self._running.values():
            ray.cancel(ref, force=True)

    def close(self) -> None:
        """Disconnect from the cluster; it keeps running."""
        with contextlib.suppress(RayError):
            ray.kill(self._mailbox)
        if self._joined:
            ray.shutdown()

    def _warn(self) -> None:
        """Warn where no node has what a cell needs: an autoscaler may add one, else the run waits for ever."""
        wanted = {"CPU": self._needs["num_cpus"], "GPU": self._needs["num_gpus"], **self._needs.get("resources", {})}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
            text = ", ".join(f"{amount:g} {name}" for name, amount in wanted.items() if amount)
            self._say(f"no node of the cluster has {text} for a cell now; the run waits until one joins")


def connect(address: str | None) -> bool:
    """Join an existing cluster; none is started. False where this process is in one already.

    Raises:
        BenchError: There is none.
    """
    if ray.is_initialized():
        return False
    where = address or os.environ.get("RAY_ADDRESS") or "auto"
    try:
        _knock(where)
        ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, RayError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BenchError(
            f"--executor ray: no cluster at {where} ({reason}); start one with 'ray start --head' or name it: "
            "--executor-option address=HOST:6379"
        ) from None
    return True


def _knock(address: str) -> None:
    """Check whether anything listens at HOST:PORT or ray://HOST:PORT; Ray itself would try for minutes.

    For ``auto`` that is where Ray last noted a cluster of this machine, which may be long dead.
    """
    noted = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    if address == "auto" and noted.is_file():
        address = noted.read_text(encoding="utf-8").strip()
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_CONNECT).close()


def needs(options: dict[str, Any], request: Request) -> dict[str, Any]:
    """What Ray is asked for one cell: CPUs, GPUs, memory, and an environment with as many threads as CPUs."""
    cpus = options.get("cpus", 1.0)
    variables = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    threads = str(max(1, int(cpus)))
    variables |= {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    asked: dict[str, Any] = {
        "num_cpus": cpus,
        "num_gpus": options.get("gpus", float(request.devices) if request.device.startswith("cuda") else 0.0),
        "runtime_env": {"env_vars": variables},
    }
    if "memory" in options:
        asked["memory"] = int(options["memory"] * 1e9)
    if "resource" in options:
        asked["resources"] = {options["resource"]: 0.001}
    return asked


class _Mailbox:
    """Keeps what tasks tell until the driver takes it."""

    def __init__(self) -> None:
        self._told: list[Told] = []

    def put(self, told: Told) -> None:
        self._told.append(told)

    def take(self) -> list[Told]:
        taken, self._told = self._told, []
        return taken


def _work(packed: dict[str, Any], job: dict[str, Any], mailbox: Any) -> None:
    """Body of a task: plan the study, once for each worker process, and run the cell."""
    from benchmark.execution.job import run_job
    from benchmark.execution.remote import Words, planned
    from benchmark.runtime.signals import raise_on_sigterm

    def tell(told: Told) -> None:
        ray.get(mailbox.put.remote(told))  # in order, and there before the task ends

    before = signal.getsignal(signal.SIGTERM)
    raise_on_sigterm()
    try:
        with Words(job["cell"], tell):
            run_job(lambda: planned(packed), Job(**job), tell)
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _how_it_died(ref: Any) -> str | None:
    try:
        ray.get(ref, timeout=5)
    except TaskCancelledError:
        return "its task was cancelled"
    except RayError as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None
