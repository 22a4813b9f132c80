"""``--deterministic``: bit-identical results on the same GPU as far as torch can, and a list of the exceptions.

A CPU gives the same bytes anyway; there the option changes nothing.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_SAID = re.compile(
    r"^\s*(?P<name>\S.*?) (?:does not have a deterministic implementation, but you set"
    r"|defaults to a non-deterministic algorithm)"
)
_CUBLAS = "this operation is not deterministic because it uses CuBLAS"
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic(wanted: bool, device: torch.device) -> Iterator[list[str]]:
    """Use deterministic algorithms while the block runs on CUDA; elsewhere the list of exceptions stays empty.

    Yields:
        The names of operations that stay non-deterministic, as they are met; each once.
    """
    if not wanted or device.type != "cuda":
        yield []
        return
    os.environ.setdefault(_WORKSPACE, ":4096:8")  # read when cuBLAS is first used
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    try:
        same = {"enabled": cudnn.enabled, "allow_tf32": cudnn.allow_tf32}  # flags() would also set what is not named
        with naming() as names, cudnn.flags(**same, benchmark=False, deterministic=True):
            torch.use_deterministic_algorithms(True, warn_only=True)
            yield names
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextmanager
def naming() -> Iterator[list[str]]:
    """Catch torch's warnings of operations without a deterministic implementation; other warnings pass through."""
    names: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning
        for pattern in (_SAID.pattern, rf".*{_CUBLAS}"):
            warnings.filterwarnings("always", message=pattern)

        def note(message: Warning | str, *arguments: Any, **named: Any) -> None:
            name = operation(str(message))
            if name is None:
                show(message, *arguments, **named)
            elif name not in names:
                names.append(name)

        warnings.showwarning = note
        yield names


def operation(text: str) -> str | None:
    """Return the operation that a torch warning calls non-deterministic; None for any other text."""
    said = _SAID.match(text)
    return said["name"] if said else "CuBLAS" if _CUBLAS in text else None


def in_words(names: Iterable[str]) -> str:
    """Return a line for the end of a run."""
    found = sorted(set(names))
    return f"not deterministic on this device, so a second run may differ: {', '.join(found)}" if found else ""
