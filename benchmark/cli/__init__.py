"""The command line: parse, call, print; nothing else. Nothing heavy is imported at module level."""

from __future__ import annotations

import io
import os
import sys
import traceback

# Each module registers its commands; the order of the imports is the order of the help.
# isort: off
from benchmark.cli.app import app  # noqa: F401
from benchmark.cli import train, study, cost, tune, predict, reports, compare, figures, tracking  # noqa: F401
from benchmark.cli import models, data, data_fetch, house  # noqa: F401
from benchmark.cli import audit  # noqa: F401

# isort: on
from benchmark.cli.tree import Verbosity, command_tree
from benchmark.errors import BenchError
from benchmark.runtime.signals import EXIT_SIGTERM, Terminated, raise_on_sigterm


def main() -> None:
    """Entry point of ``bench``: a user's mistake ends in one line and exit code 2."""
    raise_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end a study
            stream.reconfigure(errors="backslashreplace")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's spinning threads collapse when a core is shared
    try:
        command_tree()(prog_name="bench")
    except BenchError as error:
        if Verbosity.verbose:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Terminated:
        sys.exit(EXIT_SIGTERM)
