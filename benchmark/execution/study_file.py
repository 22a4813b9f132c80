"""Run the commands of a study file, each as a process, one after the other."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from benchmark.runtime.signals import exit_code

EXIT_FAILED_CELL = 1


def run_commands(
    commands: Sequence[Sequence[str]], *, aside: bool = False, notice: Callable[[str], None] = lambda _: None
) -> list[int | None]:
    """Run ``bench`` commands.

    One with a failed cell, or one that crashed, does not stop the others; a mistake or a signal does.

    Args:
        commands: The arguments of ``bench``, for each.
        aside: Send what they print to standard error.
        notice: Receives the command that starts.
    Returns:
        The exit code of each; None for those that did not run.
    """
    codes: list[int | None] = [None] * len(commands)
    for index, argv in enumerate(commands):
        where = f"part {index + 1} of {len(commands)}"
        notice(f"{where}: {shlex.join(['bench', *argv])}")
        codes[index] = code = _call(argv, aside=aside)
        if code not in (0, EXIT_FAILED_CELL):
            notice(f"stopped in {where}; run the same command again to continue")
            break
    return codes


def _call(argv: Sequence[str], *, aside: bool) -> int:
    """Run one command as a process: its memory is freed, and its crash does not end this one.

    It leads a session, so that Ctrl-C in a terminal reaches it once, through here: a second one would end it before it
    has saved.
    """
    with subprocess.Popen(  # nosec B603 # no shell; this interpreter, options checked by load_study
        [sys.executable, "-P", "-m", "benchmark", *argv],
        stdout=sys.stderr if aside else None,
        start_new_session=True,
    ) as process:
        try:
            return _status(process.wait())
        except KeyboardInterrupt as stop:
            code = exit_code(stop)
            number = signal.SIGTERM if code == 128 + signal.SIGTERM else signal.SIGINT
            process.send_signal(number)
            try:
                process.wait()
            except KeyboardInterrupt:  # a second Ctrl-C stops at once
                process.send_signal(number)
                process.wait()
            return code


def _status(code: int) -> int:
    """A process that a signal killed has a negative status; shells count from 128."""
    return 128 - code if code < 0 else code
