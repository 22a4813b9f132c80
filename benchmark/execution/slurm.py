"""Executor ``slurm``: a job for each cell, through submitit; those that are submitted at once are one array.

Jobs write their messages to files beside their logs, below ``RESULTS/jobs/``. A job that is preempted saves
and is queued again, by Slurm or by the driver; it continues from its checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import submitit
import submitit.helpers
from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import DelayedSubmission

from benchmark.errors import BenchError
from benchmark.execution.job import Job, Told, pack, run_job, understood
from benchmark.execution.remote import Words, planned
from benchmark.runtime.signals import exit_code, raise_on_sigterm

if TYPE_CHECKING:
    from benchmark.execution.placement import Placement
    from benchmark.study.plan import Request, Study

_DAY_MIN = 24 * 60
_LAST = ("cell_finished", "busy", "refused", "stopped")
_SECONDS_BETWEEN_LOOKS = 2.0
_MAX_TIMEOUTS = 1000  # a training may take longer than many time limits


class SlurmJobs:
    """See ``benchmark.execution.driver.Executor``."""

    def __init__(self, study: Study, placement: Placement, num_cells: int, say: Callable[[str], None]) -> None:
        self._say, self._packed = say, pack(study.request)
        self._at_once = placement.workers or num_cells
        self._folder = study.layout.jobs(f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}").resolve()
        self._folder.mkdir(parents=True)
        self._folder.chmod(0o700)  # submitit keeps pickles there, and loads them
        options = dict(placement.options)
        self._cluster = options.get("cluster", "slurm")
        self._variables = variables(options)
        self._executor = make_executor(self._folder, options, study.request, self._at_once)
        self._running: dict[str, tuple[Any, _Tail]] = {}

    def free(self) -> int:
        """Number of further jobs to submit. Slurm itself limits an array to ``--workers`` at once."""
        return 10**6 if self._cluster == "slurm" else self._at_once - len(self._running)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Submit some jobs as one array."""
        told = [self._folder / f"{uuid.uuid4().hex[:12]}.jsonl" for _ in jobs]
        works = [
            CellJob(self._packed, job.cell, job.patience_s, str(path)) for job, path in zip(jobs, told, strict=True)
        ]
        with _shielded(self._variables), self._executor.batch():
            handles = [self._executor.submit(work) for work in works]
        for job, path, handle in zip(jobs, told, handles, strict=True):
            self._running[job.cell] = (handle, _Tail(path))
        numbers = ", ".join(dict.fromkeys(str(handle.job_id).partition("_")[0] for handle in handles))
        self._say(f"submitted {len(handles)} jobs ({numbers}); their logs are in {self._folder}")

    def listen(self, seconds: float) -> list[Told]:
        """Messages of the jobs, and which of them ended without a final one."""
        time.sleep(min(seconds, _SECONDS_BETWEEN_LOOKS))
        heard: list[Told] = []
        for cell, (handle, tail) in list(self._running.items()):
            ended = handle.done()  # before the look, so that last messages are there
            words = tail.read()
            heard += words
            if words and words[-1]["what"] in _LAST and words[-1]["what"] != "stopped":
                del self._running[cell]
            elif ended:
                del self._running[cell]
                heard.append({"cell": cell, "what": "lost", "args": [f"job {handle.job_id} ended ({handle.state})"]})
        return [told for told in heard if told["what"] != "stopped"]

    def stop(self) -> None:
        """Cancel every job; it saves on the signal that it is sent first."""
        for handle, _ in self._running.values():
            if self._cluster == "slurm":
                handle.cancel(check=False)
            elif not handle.done():
                os.kill(int(handle.job_id), signal.SIGTERM)  # submitit's own cancel leaves it one second

    def kill(self) -> None:
        """Kill the processes of cluster=local; Slurm itself kills what does not end."""
        for handle, _ in self._running.values():
            if self._cluster == "local" and not handle.done():
                handle.cancel()

    def close(self) -> None:
        """Nothing is kept open."""


class CellJob:
    """The callable that a job runs; submitit keeps it on disk until then."""

    def __init__(self, packed: dict[str, Any], cell: str, patience_s: float, told: str) -> None:
        self.packed, self.cell, self.patience_s, self.told = packed, cell, patience_s, told

    def __call__(self) -> None:
        """Run the cell. A warning of the time limit saves; submitit then queues the job again."""
        on_warning = signal.getsignal(JobEnvironment._usr_sig())
        warned: list[int] = []

        def save(number: int, frame: Any) -> None:
            warned.append(number)
            signal.raise_signal(signal.SIGTERM)

        raise_on_sigterm()
        signal.signal(JobEnvironment._usr_sig(), save)
        with Path(self.told).open("a", encoding="utf-8") as file:

            def tell(told: Told) -> None:
                print(json.dumps(told), file=file, flush=True)

            try:
                with Words(self.cell, tell):
                    run_job(lambda: planned(self.packed), Job(self.cell, self.patience_s), tell)
            except KeyboardInterrupt as stop:
                if warned and callable(on_warning):
                    on_warning(warned[0], None)
                sys.exit(exit_code(stop))

    def checkpoint(self) -> DelayedSubmission:
        """Return what is queued again: the same callable; the work so far is in the cell's ``last.pt``."""
        return DelayedSubmission(self)


class _Tail:
    """Reads the lines that were added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._rest = path, 0, ""

    def read(self) -> list[Told]:
        try:
            with self._path.open(encoding="utf-8") as file:
                file.seek(self._at)
                text = self._rest + file.read()
                self._at = file.tell()
        except FileNotFoundError:
            return []
        *lines, self._rest = text.split("\n")
        return list(understood(lines))


def make_executor(folder: Path, options: dict[str, Any], request: Request, at_once: int) -> Any:
    """Return submitit's executor with the resources that were asked for.

    Raises:
        BenchError: No Slurm on this machine, or submitit refuses an option.
    """
    cluster = options.get("cluster", "slurm")
    if cluster not in ("slurm", "local"):
        raise BenchError(f"--executor-option cluster={cluster}: expected slurm or local")
    parameters: dict[str, Any] = {
        "name": "bench",
        "timeout_min": options.get("time", _DAY_MIN),
        "cpus_per_task": options.get("cpus", 1),
        "gpus_per_node": options.get("gpus", request.devices if request.device.startswith("cuda") else 0),
        "slurm_array_parallelism": min(at_once, 1000),
        "slurm_setup": [_exports(options), *([options["setup"]] if "setup" in options else [])],
    }
    parameters |= {
        f"slurm_{key}": options[key] for key in ("partition", "account", "qos", "constraint") if key in options
    }
    if "memory" in options:
        parameters["mem_gb"] = options["memory"]
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=_MAX_TIMEOUTS)
        executor.update_parameters(**parameters)
    except (RuntimeError, ValueError, NameError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BenchError(
            f"--executor slurm: cannot submit here ({reason}); run it where sbatch is, or try it with "
            "--executor-option cluster=local"
        ) from None
    return executor


def variables(options: dict[str, Any]) -> dict[str, str]:
    """Environment that gives a job as many threads as CPUs."""
    count = str(options.get("cpus", 1))
    return {"OMP_NUM_THREADS": count, "NUMBA_NUM_THREADS": count, "OMP_WAIT_POLICY": "PASSIVE"}


def _exports(options: dict[str, Any]) -> str:
    return "export " + " ".join(f"{name}={value}" for name, value in variables(options).items())


@contextmanager
def _shielded(environment: dict[str, str]) -> Iterator[None]:
    """Start processes with these variables; they ignore the terminal's Ctrl-C, which the driver passes on."""
    here = threading.current_thread() is threading.main_thread()  # signal handlers can be set in the main thread only
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if here else None
    try:
        with submitit.helpers.environment_variables(**environment):
            yield
    finally:
        if here:
            signal.signal(signal.SIGINT, before or signal.default_int_handler)
