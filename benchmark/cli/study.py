"""`bench study`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import TRAIN, app
from benchmark.cli.options import Json, Results
from benchmark.cli.printing import print_json, say


@app.command(rich_help_panel=TRAIN)
def study(
    name: Annotated[
        str,
        typer.Argument(help="A packaged study, for example cpu-study, or FILE.toml.", autocompletion=complete.studies),
    ],
    results: Results = Path("results"),
    data_root: Annotated[Path | None, typer.Option(help="Folder with the datasets.")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Folder for decoded pixels.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    track: Annotated[bool, typer.Option(help="Mirror the runs in MLflow.")] = True,
    executor: Annotated[str | None, typer.Option(help="Where cells run: local, ray or slurm.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of parallel cells.", min=1)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Repeat a whole study: the commands of a study file, one after the other, each with its own results folder.

    Finished cells are kept, so the same command resumes after an interruption.

    Example: bench study cpu-study --results my-study --workers 2
    """
    from benchmark.cli.tree import command_tree, leaves
    from benchmark.execution.study_file import run_commands
    from benchmark.study.files import COMMANDS, load_study

    tree = dict(leaves(command_tree()))
    known = {command: _options(tree["bench", *command.split()]) for command in COMMANDS}
    given: dict[str, object] = {"--data-root": data_root, "--cache-dir": cache_dir, "--device": device}
    given |= {"--executor": executor, "--workers": workers}
    extra = [word for option, value in given.items() if value is not None for word in (option, str(value))]
    extra += [] if track else ["--no-track"]
    parts = load_study(name, known)
    commands = [part.argv(results, tuple(extra)) for part in parts]
    codes = [None] * len(parts) if dry_run else run_commands(commands, aside=as_json, notice=say)
    if as_json:
        rows = zip(parts, commands, codes, strict=True)
        print_json(
            [{"command": ["bench", *argv], "folder": part.folder, "exit_code": code} for part, argv, code in rows]
        )
    elif dry_run:
        print("\n".join(shlex.join(["bench", *argv]) for argv in commands))
    raise typer.Exit(max((code for code in codes if code is not None), default=0))


def _options(command: typer.core.TyperCommand) -> dict[str, bool]:
    """The long options of a command, and whether they take a value."""
    return {
        word.removeprefix("--"): not getattr(option, "is_flag", False)
        for option in command.params
        for word in (*option.opts, *option.secondary_opts)
        if word.startswith("--")
    }
