"""`bench study`: the commands of a study file, one after the other."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark.commands.printing import print_json, say
from benchmark.runtime.signals import exit_code
from benchmark.study.files import Part

EXIT_FAILED_CELL = 1


def run_parts(
    parts: Sequence[Part], *, results: Path, extra: Sequence[str], dry_run: bool, as_json: bool = False
) -> int:
    """Run every part as a process of its own; or print the commands.

    A part with a failed cell, or one that crashed, does not stop the others; a mistake or a signal does. Finished
    cells are kept, so the same command goes on where it stopped. As JSON, what the parts print goes to standard error,
    and standard output lists each part's command, its folder and its exit code, which is null where it did not run.

    Returns:
        0; 1 when a cell failed; the exit code of the part that stopped the study.
    """
    commands = [part.argv(results, tuple(extra)) for part in parts]
    codes: list[int | None] = [None] * len(parts)
    if not dry_run:
        _run(commands, codes, aside=as_json)
    if as_json:
        rows = zip(parts, commands, codes, strict=True)
        print_json(
            [{"command": ["bench", *argv], "folder": part.folder, "exit_code": code} for part, argv, code in rows]
        )
    elif dry_run:
        for argv in commands:
            print(shlex.join(["bench", *argv]))
    return max((code for code in codes if code is not None), default=0)


def _run(commands: Sequence[Sequence[str]], codes: list[int | None], *, aside: bool) -> None:
    """Run one after the other until one stops the study; fill in the exit codes."""
    console = Console(stderr=True)
    for index, argv in enumerate(commands):
        where = f"part {index + 1} of {len(commands)}"
        say(console, f"{where}: {shlex.join(['bench', *argv])}")
        codes[index] = code = _call(argv, aside=aside)
        if code not in (0, EXIT_FAILED_CELL):
            say(console, f"stopped in {where}; the same command goes on from here")
            return


def _call(argv: Sequence[str], *, aside: bool) -> int:
    """One command in a process of its own: memory is given back, and a crash in one part is no crash here.

    It has a session of its own, so that Ctrl-C in a terminal reaches it once, through here: a second one would end it
    before it has saved.
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
            except KeyboardInterrupt:  # whoever asks twice does not want to wait
                process.send_signal(number)
                process.wait()
            return code


def _status(code: int) -> int:
    """A process that a signal killed has a negative status; shells count from 128."""
    return 128 - code if code < 0 else code
