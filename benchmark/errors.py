"""The one exception a user may see: what was expected, what came, what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """A mistake that the user can mend.

    The message is one line: it names the file or value, says what was expected, and gives the next step.
    Only ``benchmark.cli`` catches it; it prints the line and exits with ``exit_code``.
    """

    exit_code = 2


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BenchError:
    """Return the error for a name that is not among ``known``, with the nearest match."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BenchError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names)}")
