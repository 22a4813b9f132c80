"""`bench study`: the commands of a study file, one after the other."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark.commands.printing import say
from benchmark.signals import exit_code
from benchmark.studies.parts import Part

EXIT_FAILED_CELL = 1


def run_parts(parts: Sequence[Part], *, results: Path, extra: Sequence[str], dry_run: bool) -> int:
    """Run every part as a process of its own; or print the commands.

    A part with a failed cell does not stop the others; a mistake or a signal does. Finished cells are kept, so the
    same command goes on where it stopped.

    Returns:
        0; 1 when a cell failed; the exit code of the part that stopped the study.
    """
    console = Console(stderr=True)
    worst = 0
    for number, part in enumerate(parts, 1):
        argv = part.argv(results, tuple(extra))
        if dry_run:
            print(shlex.join(["bench", *argv]))
            continue
        say(console, f"part {number} of {len(parts)}: {shlex.join(['bench', *argv])}")
        code = _call(argv)
        if code not in (0, EXIT_FAILED_CELL):
            say(console, f"stopped in part {number} of {len(parts)}; the same command goes on from here")
            return code
        worst = max(worst, code)
    return worst


def _call(argv: Sequence[str]) -> int:
    """One command in a process of its own: memory is given back, and a crash in one part is no crash here."""
    with subprocess.Popen(  # nosec B603 # no shell; this interpreter, options checked by load_study
        [sys.executable, "-P", "-m", "benchmark", *argv]
    ) as process:
        try:
            return _status(process.wait())
        except KeyboardInterrupt as stop:  # Ctrl-C came to the part, too; SIGTERM came here alone
            process.send_signal(signal.SIGTERM if exit_code(stop) == 128 + signal.SIGTERM else signal.SIGINT)
            process.wait()
            return exit_code(stop)


def _status(code: int) -> int:
    """A process that a signal killed has a negative status; shells count from 128."""
    return 128 - code if code < 0 else code
