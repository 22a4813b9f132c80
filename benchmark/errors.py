"""The exception for user errors: what was expected, what was found, what to do next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except tab and line ends, and those that change the writing direction."""


class BenchError(Exception):
    """An error that the user can fix.

    The message is one line, whatever it quotes: it names the file or value, says what was expected, and gives the next
    step. Only ``benchmark.cli`` catches it; it prints the line and exits with ``exit_code``.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(visible(str(message)).splitlines()))


def visible(text: str) -> str:
    r"""Return text that cannot control a terminal: control characters as ``\x1b``; tabs and line ends stay."""
    return _UNSEEN.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BenchError:
    """Return the error for a name that is not among ``known``, with the nearest match."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower()[:100], names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BenchError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names)}")
