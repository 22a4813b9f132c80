"""Printing that the commands share: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmark.errors import visible

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.report.sheets.sheet import Printable, Sheet
    from benchmark.study.events import Events


class Flags:
    """``--quiet`` and ``--verbose`` of the one command that this process runs."""

    quiet = False
    verbose = False


def stderr() -> Console:
    """Return a console on standard error."""
    from rich.console import Console

    return Console(stderr=True)


def say(text: str) -> None:
    """Print a note on standard error, unless ``--quiet``."""
    if not Flags.quiet:
        tell(text)


def tell(text: str) -> None:
    """Print what ``--quiet`` must not hide on standard error: what failed, and what stopped."""
    stderr().print(visible(text), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def events(*, as_json: bool = False) -> Iterator[Events]:
    """Show the progress of a command on standard error; notices alone with ``--quiet`` or ``--json``."""
    from benchmark.display.choose import watch

    with watch(stderr(), quiet=Flags.quiet or as_json) as events:
        yield events


def print_tables(made: Sequence[Printable], form: str) -> None:
    """Print every table, each reason for blanks once; CSV rows with the same columns under one header."""
    from benchmark.report.sheets.sheet import said_once

    texts = [getattr(sheet, f"to_{form}")() for sheet in said_once(made)]
    if form != "csv":
        print(*texts, sep="\n")
        return
    above = None
    for text in texts:
        head, _, rows = text.partition("\n")
        print(rows if head == above else text, end="")
        above = head


def print_rich(sheet: Sheet) -> None:
    """Print a sheet as a table for a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(sheet.caption), title_justify="left", title_style="", caption_justify="left", caption_style="dim"
    )
    for column in sheet.columns:
        table.add_column(column.whole, justify={"l": "left", "c": "center", "r": "right"}[column.align])  # type: ignore[arg-type]
    for row in sheet.rows:
        table.add_row(*(Text(cell.text) for cell in row))
    table.caption = Text("\n".join(f"- {note}" for note in sheet.notes))
    Console().print(table)


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Print aligned columns on a terminal, tab-separated values elsewhere."""
    if not rows:
        return
    cells = [[visible(str(key)) for key in rows[0]]]
    cells += [["" if v is None else visible(str(v)) for v in row.values()] for row in rows]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(line) for line in cells))
        return
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_json(payload: Any) -> None:
    """Print one JSON document."""
    print(visible(json.dumps(payload, indent=1, ensure_ascii=False, default=str)))
