"""The command tree with the options that all commands share, for running, completion and the reference."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

import typer
import typer.main

from benchmark.cli.app import app
from benchmark.cli.printing import Flags

QUIET_HELP = "No progress and no notes; errors are still printed."
VERBOSE_HELP = "Also warnings and log messages of libraries, and tracebacks."


@cache
def command_tree() -> Any:
    """Build the tree, once; every command takes --quiet and --verbose."""
    root = typer.main.get_command(app)
    for _, command in leaves(root):
        given = {name for option in command.params for name in option.opts}
        command.params.extend(option for option in _shared_flags() if not given.intersection(option.opts))
    return root


def leaves(command: Any, path: tuple[str, ...] = ("bench",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command below a group with its full name, in the order of the help."""
    below = getattr(command, "commands", None)
    if below is None:
        if not command.hidden:
            yield path, command
        return
    for name, one in below.items():
        yield from leaves(one, (*path, name))


def _shared_flags() -> list[Any]:
    """Let Typer make the two options, on a command that is never run."""
    maker = typer.Typer(add_completion=False)

    @maker.command()
    def _never(
        quiet: Annotated[
            bool, typer.Option("--quiet", "-q", help=QUIET_HELP, expose_value=False, callback=_be_quiet)
        ] = False,
        verbose: Annotated[
            bool, typer.Option("--verbose", "-v", help=VERBOSE_HELP, expose_value=False, callback=_be_verbose)
        ] = False,
    ) -> None: ...

    return list(typer.main.get_command(maker).params)


def _be_quiet(value: bool) -> None:
    Flags.quiet |= value


def _be_verbose(value: bool) -> None:
    if value:
        import logging

        Flags.verbose = True
        warnings.simplefilter("default")
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
