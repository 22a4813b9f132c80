"""The command tree and its groups, and how lists are split. Nothing heavy is imported at module level."""

from __future__ import annotations

from typing import Annotated, Any

import typer
import typer.core

from benchmark.errors import BenchError

TRAIN, DATA, RESULTS, TOOLS = "Train and score", "Data", "Results", "Tools"
"""Groups of ``bench --help``, in this order."""


class Grouped(typer.core.TyperGroup):
    """Lists its commands in groups, each with its first sentence in full."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section per group."""
        found = {name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))}
        for group in (TRAIN, DATA, RESULTS, TOOLS):
            rows = [
                (name, _first_sentence(command.help or ""))
                for name, command in found.items()
                if not command.hidden and getattr(command, "rich_help_panel", None) == group
            ]
            with formatter.section(group):
                formatter.write_dl(rows)


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".") + "."


app = typer.Typer(
    name="bench",
    cls=Grouped,
    help="Benchmark and ablation harness for polyp segmentation: one set-up, one protocol, honest tables.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
data_app = typer.Typer(help="List, check, split, show and fetch datasets.", no_args_is_help=True, rich_markup_mode=None)
audit_app = typer.Typer(
    help="Find duplicate images, and check published numbers by arithmetic.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
denoise_app = typer.Typer(help="Train a denoiser, or denoise images.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(denoise_app, name="denoise", rich_help_panel=TRAIN)
app.add_typer(data_app, name="data", rich_help_panel=DATA)
app.add_typer(audit_app, name="audit", rich_help_panel=DATA)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from benchmark._version import __version__

        print(f"polyp-bench {__version__}")
        raise typer.Exit


class OptionalValue(typer.core.TyperCommand):
    """A command with options whose value is optional: `--significance` alone stands for `--significance ""`."""

    optional_value = ("--significance", "--published")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        following = [*args, "--"][1:] if args else []
        bare = [
            arg in self.optional_value and after.startswith("-") for arg, after in zip(args, following, strict=True)
        ]
        return super().parse_args(ctx, [f"{arg}=" if alone else arg for arg, alone in zip(args, bare, strict=True)])


def given(context: typer.Context) -> list[str]:
    """Return the options that the user named, whatever their values, as ``--name``."""
    sources = ((param.opts[0], context.get_parameter_source(param.name or "")) for param in context.command.params)
    return [option for option, source in sources if source is not None and source.name == "COMMANDLINE"]


def names(text: str) -> list[str]:
    """Split names at commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def integers(text: str, option: str) -> list[int]:
    """Split whole numbers at commas.

    Raises:
        BenchError: The text is anything else.
    """
    try:
        return [int(part) for part in names(text)]
    except ValueError:
        raise BenchError(f"{option} {text}: expected whole numbers, comma-separated, for example 0,1,2") from None
