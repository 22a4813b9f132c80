"""Where cells run, as the user asks for it. Imports nothing heavy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmark.errors import BenchError, unknown_name

EXECUTORS = ("local", "ray", "slurm")
_PACKAGES = {"ray": "ray", "slurm": "submitit"}


@dataclass(frozen=True)
class Placement:
    """Where cells run.

    Attributes:
        executor: ``local``: processes on this machine; ``ray``: an existing cluster; ``slurm``: a job for each cell.
        workers: Cells at once; None: one (local), as many as fit (ray, slurm).
        options: What ``--executor-option`` gave, validated.
    """

    executor: Literal["local", "ray", "slurm"] = "local"
    workers: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_here(self) -> bool:
        """Whether cells run one after the other in this process."""
        return self.executor == "local" and (self.workers or 1) == 1 and not self.options


@dataclass(frozen=True)
class Option:
    """One option of an executor: how its text is read, what it is, and an example."""

    read: Callable[[str], Any]
    help: str
    example: str


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _amount(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number


def _minutes(text: str) -> int:
    """Minutes of ``90``, ``h:mm:ss`` or ``d-hh:mm:ss``, as sbatch reads them; rounded up."""
    days, dash, clock = text.rpartition("-")
    parts = [_count(part) for part in clock.split(":")]
    if len(parts) == 1:
        return parts[0] if not dash else _count(days) * 1440 + parts[0] * 60
    if len(parts) > 3:
        raise ValueError
    hours, minutes, seconds = parts if len(parts) == 3 else (0, *parts) if not dash else (*parts, 0)
    return (_count(days) if dash else 0) * 1440 + hours * 60 + minutes + (seconds > 0)


_RETRIES = Option(_count, "how often a cell moves to another worker after its own died; 3 if unset", "3")

OPTIONS: dict[str, dict[str, Option]] = {
    "local": {
        "threads": Option(_count, "threads of each worker; OMP_NUM_THREADS or its share of the cores if unset", "1"),
        "retries": _RETRIES,
    },
    "ray": {
        "address": Option(str, "of the cluster; RAY_ADDRESS, or the one on this machine if unset", "10.0.0.1:6379"),
        "cpus": Option(_amount, "CPUs per cell; 1 if unset", "4"),
        "gpus": Option(
            _amount, "GPUs per cell, fractions allowed; 0 if unset, with --device cuda as many as --devices", "0.5"
        ),
        "memory": Option(_amount, "GB of memory per cell; not requested if unset", "16"),
        "resource": Option(str, "a custom resource that its node must have", "big_disk"),
        "retries": _RETRIES,
    },
    "slurm": {
        "cluster": Option(str, "slurm, or local: processes on this machine instead of jobs, to try it out", "local"),
        "partition": Option(str, "partition", "gpu"),
        "account": Option(str, "account", "lab"),
        "qos": Option(str, "quality of service", "low"),
        "constraint": Option(str, "features that a node must have", "a100"),
        "time": Option(
            _minutes, "time limit of a job, minutes or [d-]h:mm:ss; a job that reaches it is queued again", "8:00:00"
        ),
        "cpus": Option(_count, "CPUs per job; 1 if unset", "8"),
        "gpus": Option(_count, "GPUs per job; 0 if unset, with --device cuda as many as --devices", "1"),
        "memory": Option(_amount, "GB of memory per job", "32"),
        "setup": Option(str, "shell command in a job before the program starts", "module load cuda"),
        "retries": _RETRIES,
    },
}
"""Executor -> its options."""


def place(executor: str, workers: int | None, pairs: Sequence[str] = ()) -> Placement:
    """Validate what was asked for.

    Raises:
        BenchError: An unknown executor or option, a value that cannot be read, or a package that is not installed.
    """
    if executor not in EXECUTORS:
        raise unknown_name("executor", executor, EXECUTORS)
    if workers is not None and workers < 1:
        raise BenchError(f"--workers {workers}: expected at least 1")
    known, options = OPTIONS[executor], {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign:
            raise BenchError(f"--executor-option {pair!r}: expected key=value, for example {_example(executor)}")
        if key not in known:
            raise BenchError(f"--executor-option {pair}: {unknown_name(f'{executor} option', key, known)}")
        try:
            options[key] = known[key].read(text)
        except (ValueError, KeyError):
            raise BenchError(
                f"--executor-option {pair}: cannot read {text!r}; {key} is {known[key].help}; "
                f"for example {key}={known[key].example}"
            ) from None
    package = _PACKAGES.get(executor)
    if package is not None and importlib.util.find_spec(package) is None:
        raise BenchError(
            f"--executor {executor}: {package} is not installed; python -m pip install 'polyp-bench[{executor}]'"
        )
    return Placement(executor, workers, options)  # type: ignore[arg-type]


def _example(executor: str) -> str:
    key, option = next(iter(OPTIONS[executor].items()))
    return f"{key}={option.example}"
