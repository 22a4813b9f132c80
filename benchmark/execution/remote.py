"""What a job on another machine needs besides the cell: the study planned there, and its output passed on."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from typing import TYPE_CHECKING, Any

from benchmark.execution.job import unpack

if TYPE_CHECKING:
    from benchmark.execution.job import Tell
    from benchmark.study.plan import Study

_studies: dict[str, Study] = {}


def planned(packed: dict[str, Any]) -> Study:
    """The study, planned once in this process."""
    key = json.dumps(packed, sort_keys=True)
    if key not in _studies:
        _studies.clear()  # one at a time: a worker process may serve many runs
        _studies[key] = unpack(packed)
    return _studies[key]


class Words(contextlib.ExitStack):
    """While open, lines that libraries print or warn of are sent as messages of a cell."""

    def __init__(self, cell: str, tell: Tell) -> None:
        super().__init__()
        self._lines = _Lines(cell, tell)

    def __enter__(self) -> Words:
        self.enter_context(contextlib.redirect_stdout(self._lines))
        self.enter_context(contextlib.redirect_stderr(self._lines))
        return self


class _Lines(io.TextIOBase):
    def __init__(self, cell: str, tell: Tell) -> None:
        self._cell, self._tell = cell, tell
        self._rest = threading.local()

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._rest, "text", "") + text).split("\n")
        self._rest.text = rest
        if getattr(self._rest, "telling", False):  # sending may print, too
            return len(text)
        self._rest.telling = True
        for line in lines:
            if line.strip():
                self._tell({"cell": self._cell, "what": "notice", "args": [line.rstrip()]})
        self._rest.telling = False
        return len(text)
