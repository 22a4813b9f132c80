"""The command line: parse, call, print. Nothing heavy is imported at module level."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Any

import typer

# Each module registers its commands; the order of the imports is the order of the help.
# isort: off
from benchmark.cli.app import app  # noqa: F401
from benchmark.cli import run, study, estimate, tune, predict, ensemble, onnx, robust, denoise, models  # noqa: F401
from benchmark.cli import data, data_fetch, audit, tables, figures, board, tracking, serve, upkeep, publish  # noqa: F401

# isort: on
from benchmark.cli.printing import Flags
from benchmark.cli.tree import command_tree
from benchmark.errors import BenchError
from benchmark.runtime.signals import EXIT_SIGTERM, Terminated, raise_on_sigterm

UsageError: Any = typer.BadParameter.__mro__[1]  # of whichever click typer brings along


def main() -> None:
    """Entry point of ``bench``: a user's error ends in one line and exit code 2."""
    raise_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal cannot show must not end a study
            stream.reconfigure(errors="backslashreplace")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's spinning threads collapse when a core is shared
    try:
        code = command_tree().main(prog_name="bench", standalone_mode=False)
    except typer.Abort:
        sys.exit(1)
    except UsageError as error:
        sys.exit(_refuse(error))
    except BenchError as error:
        if Flags.verbose:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Terminated:
        sys.exit(EXIT_SIGTERM)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(error: Any) -> int:
    """Report arguments that do not parse in one line; a group without a command shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        text = error.format_message().replace("Value error, ", "").rstrip(".")
        where = error.ctx.command_path if error.ctx is not None else "bench"
        print(f"error: {BenchError(text)}; '{where} --help' lists the options", file=sys.stderr)
    return int(error.exit_code)
