"""The command reference, generated from the command tree: `python -m benchmark.cli.reference`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from benchmark.cli.tree import command_tree, leaves

FILE = Path(__file__).parents[1] / "COMMANDS.md"
_HEAD = """# Commands

Generated from `--help` by `python -m benchmark.cli.reference`; a test compares the two. Every command
also takes `--help`, `--quiet` (`-q`: {quiet}) and
`--verbose` (`-v`: {verbose}).
Tab completes names after `bench --install-completion`. Exit codes: 0, 1 (a cell or a check failed), 2 (a user error, in
one line), 130 (Ctrl-C).
"""


def render() -> str:
    """Return the reference as Markdown: every command with its text, its example and its options."""
    from benchmark.cli import tree

    head = _HEAD.format(quiet=_small(tree.QUIET_HELP), verbose=_small(tree.VERBOSE_HELP))
    return head + "".join(_section(" ".join(path), command) for path, command in leaves(command_tree()))


def example(command: Any) -> str:
    """The command line after "Example:" in a command's help; empty where there is none."""
    return " ".join(inspect.cleandoc(command.help or "").partition("Example: ")[2].split())


def _section(name: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "").partition("Example: ")[0].strip()
    rows = [_row(param) for param in command.params if not {"--quiet", "--verbose", "--help"} & set(param.opts)]
    table = "\n".join(["| option | what it does |", "|---|---|", *rows]) if rows else ""
    return f"\n## {name}\n\n{text}\n\n```\n{example(command)}\n```\n" + (f"\n{table}\n" if table else "")


def _row(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if param.param_type_name == "argument":
        names = f"`{(param.metavar or param.name).upper().strip('[].')}`" + (" (several)" if param.nargs == -1 else "")
    notes = [f"default `{_shown(param.default)}`"] if _is_telling(param) else []
    notes += [f"or `{variable}` in the environment" for variable in _variables(param.envvar)]
    notes += ["required"] if param.required else []
    text = (getattr(param, "help", "") or "").replace("|", "\\|")
    return f"| {names} | {text}{' (' + '; '.join(notes) + ')' if notes else ''} |"


def _is_telling(param: Any) -> bool:
    return param.default not in (None, False, (), []) and not callable(param.default) and not param.required


def _shown(default: Any) -> str:
    return {True: "on"}.get(default, str(default)) if isinstance(default, bool) else str(default)


def _variables(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _small(text: str) -> str:
    return text[0].lower() + text[1:].rstrip(".")


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
    print(FILE)
